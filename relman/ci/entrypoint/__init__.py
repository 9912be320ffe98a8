"""What an image's ENTRYPOINT does with the test commands: whether they run at all."""
