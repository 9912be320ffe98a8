"""The gates: each judges the facts by one rule and says why, and what would make it pass. Pure."""
