"""A local history of what was done from this machine: runs, releases and deployments.

It is a convenience. The hosts' records and the registry are authoritative.
"""
