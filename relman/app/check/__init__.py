"""Use cases that check files, registries and hosts before a command changes anything."""
