"""The stages of a CI run."""
