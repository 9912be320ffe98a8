"""Decide what a deployment does (pure), then do it."""
