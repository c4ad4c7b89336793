"""Version of ptycho-physics."""

__version__ = "0.1.0"
