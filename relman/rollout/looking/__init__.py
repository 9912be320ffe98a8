"""Look at a fleet: what runs where, what is wrong, and what to type next."""
