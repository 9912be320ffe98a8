"""Read configuration files into the model. Every error has file, line, column, and the path to the key."""
