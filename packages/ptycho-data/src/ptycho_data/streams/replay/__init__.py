"""A replay: a process that sends a scan as a detector would, for tests, trials and measurements.

``python -m ptycho_data.streams.replay scan.npz --protocol dectris --rate 2000``
"""

from ptycho_data.streams.replay._process import Replay, replaying

__all__ = ["PROTOCOLS", "Replay", "replaying"]

#: What a replay can speak.
PROTOCOLS = ("dectris", "folder", "hdf5", "panda", "pva")
