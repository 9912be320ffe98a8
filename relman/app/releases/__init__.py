"""The releases in a registry: listed, and copied to another."""
