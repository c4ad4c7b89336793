"""Version of ptycho-core."""

__version__ = "0.1.0"
