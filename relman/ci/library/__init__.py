"""Release a shared library: build its files in the tested image, check them, upload them to an index, and tag the
commit."""
