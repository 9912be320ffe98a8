"""The schemas of the files that people write, and the parsers of single values."""
