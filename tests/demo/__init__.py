"""relman from nothing to the end, told to somebody who has never seen it."""
