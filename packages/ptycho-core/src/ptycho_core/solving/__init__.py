"""Runs of the iterative solver: the call, its work, checkpoints and results."""
