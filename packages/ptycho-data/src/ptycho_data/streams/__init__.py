"""Frames and positions as they come: sources of streams, and a replay that speaks their protocols.

A kind of source is registered under the entry point group ``ptycho.sources``; see `SourceKind`.
"""

from ptycho_data.streams._base import (
    GROUP,
    PIXEL,
    Begin,
    End,
    Event,
    FramesCame,
    Incident,
    PositionsCame,
    Source,
    SourceKind,
    find_source,
    source_names,
    split_address,
)
from ptycho_data.streams._experiment import raw_scan
from ptycho_data.streams._raster import RasterPositions

__all__ = [
    "GROUP",
    "PIXEL",
    "Begin",
    "End",
    "Event",
    "FramesCame",
    "Incident",
    "PositionsCame",
    "RasterPositions",
    "Source",
    "SourceKind",
    "find_source",
    "raw_scan",
    "source_names",
    "split_address",
]
