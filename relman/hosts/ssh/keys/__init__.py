"""Keys that relman offers at login, and verification of host keys."""
