"""Version of ptycho-tf."""

__version__ = "0.1.0"
