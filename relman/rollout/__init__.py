"""Plan a deployment (pure), and carry it out."""
