"""Scenes that are made up on the fly, and the training of the universal network on them."""
