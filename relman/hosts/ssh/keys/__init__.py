"""The keys of both ends: offered at login, and host keys verified."""
