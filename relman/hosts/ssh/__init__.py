"""Connections to hosts as ssh(1) makes them: keys, known_hosts, jump hosts, proxy commands."""
