"""Version of ptycho-cli."""

__version__ = "0.1.0"
