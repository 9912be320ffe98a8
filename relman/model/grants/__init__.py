"""What an inventory grants to releases: what they may ask of hosts, and secrets."""
