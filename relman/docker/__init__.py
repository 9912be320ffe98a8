"""The Docker Engine API: what is asked, what is answered, and the way there."""
