"""Build the JSON documents for programs: one function for each kind, with the keys of docs/reference/json.md."""
