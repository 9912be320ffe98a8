"""What test runners write, and what it comes to."""
