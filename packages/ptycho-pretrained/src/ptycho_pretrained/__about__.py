"""Version of ptycho-pretrained."""

__version__ = "0.1.0"
