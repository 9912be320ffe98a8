"""The stage that builds an image."""
