"""Values and errors: what relman talks about. Standard library only, frozen, no I/O."""
