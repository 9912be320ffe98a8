"""The schemas of the files that people write, and how single values of them are read."""
