"""What runs where, what is wrong with it, and what to type next."""
