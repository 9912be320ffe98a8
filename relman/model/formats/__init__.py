"""How values are written: times, JSON from hosts, HTTP requests, patterns, text on a terminal."""
