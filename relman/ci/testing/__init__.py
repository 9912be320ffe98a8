"""The test stage: commands in the image under test, with linked services."""
