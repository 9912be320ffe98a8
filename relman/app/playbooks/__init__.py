"""Playbooks: what one shows, does, and remembers of itself."""
