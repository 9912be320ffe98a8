"""The stage that tests an image, with services linked to it."""
