"""The CI stages: build, test with linked services, collect results, clean up."""
