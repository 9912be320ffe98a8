"""Where the values of secrets come from: what inventories say, and each kind of source."""
