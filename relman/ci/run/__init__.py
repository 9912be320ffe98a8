"""One run of the stages: its name, tags and lock, and what is removed after it."""
