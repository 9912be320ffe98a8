"""The proxy on each host: its configuration, and how requests move from one container to another."""
