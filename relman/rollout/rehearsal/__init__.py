"""The rehearsal of a rollback."""
