"""What changes hosts: deploy, rollback, recover, remove, and the locks that they hold."""
