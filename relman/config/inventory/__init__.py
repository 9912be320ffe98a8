"""Inventories as Ansible has them."""
