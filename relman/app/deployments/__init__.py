"""Use cases that change hosts: deploy, rollback, recover, remove, and breaking locks."""
