"""Certificates by themselves: ordered from an ACME authority, and put on the hosts."""
