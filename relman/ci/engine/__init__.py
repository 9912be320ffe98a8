"""The engine on which the stages work: its containers and images, and what goes to and from it."""
