"""Formats of values: times, JSON from hosts, HTTP requests, patterns, and text for a terminal."""
