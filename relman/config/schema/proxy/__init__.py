"""The schema of how a service is reached through a host's proxy: what its image says, and what the environment says."""
