"""Evidence for images: in-toto Statements that are made, signed, stored in the registry, fetched and verified."""
