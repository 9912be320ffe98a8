"""Use cases that read hosts: what runs where, and what was done there."""
