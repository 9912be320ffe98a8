"""What an operation writes on its hosts: locks, records, journals."""
