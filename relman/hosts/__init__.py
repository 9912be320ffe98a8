"""Hosts over SSH: connections, and the state directory with its records, locks and journals."""
