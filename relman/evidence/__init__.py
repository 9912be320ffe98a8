"""Make, store, fetch and check Statements about images."""
