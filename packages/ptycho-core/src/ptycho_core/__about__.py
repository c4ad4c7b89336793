"""Version of ptycho-data."""

__version__ = "0.1.0"
