"""The use cases behind every front end: they take requests and events, and return reports and documents."""
