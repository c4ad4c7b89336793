"""Version of ptycho-torch."""

__version__ = "0.1.0"
