"""What runs where and what was done there, as the hosts tell it."""
