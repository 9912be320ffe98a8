"""One run: its name, tags, lock and cleanup."""
