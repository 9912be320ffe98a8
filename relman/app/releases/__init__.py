"""Use cases on the releases in a registry: list them, and copy one to another registry."""
