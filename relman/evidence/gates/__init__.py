"""The gates: each judges facts by one rule, says why, and what would make it pass. All pure."""
