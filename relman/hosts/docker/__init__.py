"""The Docker Engine API of a host, through its SSH connection."""
