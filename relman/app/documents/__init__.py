"""The documents that relman hands to programs: one function a kind, its keys as docs/reference/json.md has them."""
