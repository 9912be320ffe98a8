"""Run playbooks, and keep journals of their runs."""
