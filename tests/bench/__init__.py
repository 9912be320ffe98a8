"""How fast relman is, beside what else replaces containers."""
