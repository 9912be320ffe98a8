"""Values and errors of relman's domain. Standard library only, immutable, no I/O."""
