"""YAML to model, every error with file:line:column and the path to the key."""
