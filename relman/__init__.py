"""relman promotes the image that passed its tests, and runs exactly that image everywhere, or says why not."""

__version__ = "0.1.0"
