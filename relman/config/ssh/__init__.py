"""The user's ssh_config."""
