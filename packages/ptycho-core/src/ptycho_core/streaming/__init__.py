"""Patterns in, object out, while the scan runs: what ``ptycho stream`` does.

A thread reads the sources, makes patterns by the recipe, appends them to a file and joins them with
their positions (`Receiver`); the main thread adds what is joined to the object (`GrowingObject`).
"""

from ptycho_core.streaming.receiving import Rules
from ptycho_core.streaming.run import SCAN_FILE, SO_FAR_FILE, StreamResult, StreamRun
from ptycho_core.streaming.sources import StreamAddress
from ptycho_core.streaming.status import Report

__all__ = [
    "SCAN_FILE",
    "SO_FAR_FILE",
    "Report",
    "Rules",
    "StreamAddress",
    "StreamResult",
    "StreamRun",
]
