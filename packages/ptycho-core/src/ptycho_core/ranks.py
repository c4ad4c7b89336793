"""Processes that a launcher starts together with one command line."""

import os

__all__ = ["is_first_process"]

#: Where Lightning and Slurm number the processes of a node, the nodes, and the tasks of a job.
_PARTS = ("LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")


def is_first_process(processes: int) -> bool:
    """Tell whether this process is the first of those that do the work of one run together.

    Parameters
    ----------
    processes
        How many there are. One is always the first: the tasks of a cluster job that use one device
        each are runs of their own.
    """
    if processes == 1:
        return True
    if rank := os.environ.get("RANK"):  # by torchrun, which numbers all processes of all nodes
        return rank == "0"
    return all(os.environ.get(name, "") in ("", "0") for name in _PARTS)
