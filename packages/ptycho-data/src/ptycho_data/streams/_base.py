"""What a source of a stream gives: frames and positions by number, begin and end, incidents."""

import time
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Protocol

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError, MissingPackageError, describe

from ptycho_data.raw import Names

__all__ = [
    "GROUP",
    "MOST_PIXELS",
    "PIXEL",
    "Begin",
    "End",
    "Event",
    "FramesCame",
    "Incident",
    "PositionsCame",
    "Source",
    "SourceKind",
    "find_source",
    "source_names",
    "split_address",
]

#: Entry point group that sources are registered under.
GROUP = "ptycho.sources"
#: Frames of more pixels are refused.
MOST_PIXELS = 1 << 26
#: Unit of positions that are pixels of the object already.
PIXEL = "pixel"


@frozen(kw_only=True, eq=False)
class Begin:
    """A series begins.

    Attributes
    ----------
    series
        Name of the series.
    expected
        Number of frames, where it is known.
    energy_ev, distance_m, detector_pixel_m, beam_centre
        What the source states of the experiment, as in `ptycho_data.raw.RawScan`.
    mask : (H, W), optional
        Pixels that are not zero have no value.
    """

    series: str = ""
    expected: int | None = None
    energy_ev: float | None = None
    distance_m: float | None = None
    detector_pixel_m: tuple[float, float] | None = None
    beam_centre: tuple[float, float] | None = None
    mask: NDArray[Any] | None = None


@frozen(kw_only=True, eq=False)
class FramesCame:
    """Frames have come.

    Attributes
    ----------
    numbers : (k,) int64
        Number of each frame in its series.
    frames : (k, H, W)
        Frames as the detector gives them.
    received : float
        When, by `time.monotonic`.
    """

    numbers: NDArray[np.int64]
    frames: NDArray[Any]
    received: float = field(factory=time.monotonic)


@frozen(kw_only=True, eq=False)
class PositionsCame:
    """Positions of some frames have come.

    Attributes
    ----------
    numbers : (k,) int64
        Number of the frame of each position.
    x, y : (k,) float64
        In metres, or in pixels of the object.
    in_pixels
        Which of the two.
    received : float
        When, by `time.monotonic`.
    """

    numbers: NDArray[np.int64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    in_pixels: bool = False
    received: float = field(factory=time.monotonic)


@frozen(kw_only=True)
class End:
    """No more will come.

    Attributes
    ----------
    what
        ``"frames"`` or ``"positions"``.
    expected
        How many there were, where the source says so.
    """

    what: str
    expected: int | None = None


@frozen(kw_only=True)
class Incident:
    """Something that does not end a stream, and is counted.

    Attributes
    ----------
    kind
        Under which name: ``reconnected``, ``damaged``, ``other_series``.
    text
        What happened, for the log.
    """

    kind: str
    text: str


Event = Begin | FramesCame | PositionsCame | End | Incident


class Source(Protocol):
    """An open source.

    One of frames that has their positions, too, says so by a true attribute ``has_positions``.
    """

    @property
    def waits(self) -> bool:
        """Whether nothing is lost while nobody reads: files wait, detectors do not."""

    def read(self, seconds: float) -> list[Event]:
        """Return what has come; waits for it at most so many seconds."""

    def close(self) -> None:
        """Close files and connections."""


Opener = Callable[[str, Names], Source]
"""Opens a source: its address, and the names of datasets that the user gave."""


@frozen(kw_only=True)
class SourceKind:
    """A kind of source, registered under the entry point group ``ptycho.sources``.

    Attributes
    ----------
    name
        In front of the colon of an address.
    title
        In words.
    address
        What follows the colon, for help and messages.
    frames, positions
        Open a source of frames, or of positions; None where the kind has none.
    """

    name: str
    title: str
    address: str
    frames: Opener | None = None
    positions: Opener | None = None


def _installed() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def source_names() -> list[str]:
    """Return the names of all kinds of sources that are installed."""
    return sorted(_installed())


def split_address(option: str, text: str) -> tuple[str, str]:
    """Split ``KIND:ADDRESS``.

    Raises
    ------
    InvalidValueError
        There is no colon, or nothing on one side of it.
    """
    kind, _, address = text.partition(":")
    if not kind or not address:
        rule = f"KIND:ADDRESS with a kind of {', '.join(source_names())}"
        raise InvalidValueError(option, rule, describe(text))
    return kind, address


def find_source(option: str, kind: str) -> SourceKind:
    """Return a kind of source by its name.

    Raises
    ------
    InvalidValueError
        There is none of this name.
    MissingPackageError
        It is registered, but cannot be imported.
    """
    entry = _installed().get(kind)
    if entry is None:
        rule = f"KIND:ADDRESS with a kind of {', '.join(source_names())}"
        raise InvalidValueError(option, rule, describe(kind))
    try:
        found = entry.load()
    except Exception as error:  # foreign code may raise anything while it is imported
        msg = f"source {kind} is registered by {entry.value}, which cannot be imported: {error}"
        raise MissingPackageError(msg) from error
    if not isinstance(found, SourceKind):
        msg = f"source {kind} is registered by {entry.value}, which is not a SourceKind"
        raise MissingPackageError(msg)
    return found
