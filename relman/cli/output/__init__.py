"""Output for people and programs: text, tables, JSON documents, progress."""
