"""Determine whether an image's ENTRYPOINT starts the test commands."""
