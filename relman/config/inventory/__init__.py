"""Ansible inventories."""
