"""The use cases that every front of relman shares: requests and events in, reports and documents out."""
