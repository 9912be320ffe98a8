"""What an operation leaves on its hosts: locks, records, journals."""
