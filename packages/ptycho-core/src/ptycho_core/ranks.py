"""Processes that a launcher starts together with one command line."""

import os

__all__ = ["is_first_process"]

#: Where Lightning, torchrun and Slurm number the processes.
_NUMBERS = ("RANK", "SLURM_PROCID", "LOCAL_RANK")


def is_first_process() -> bool:
    """Tell whether this process is the first of several, or alone."""
    return next((os.environ[name] for name in _NUMBERS if os.environ.get(name)), "0") == "0"
