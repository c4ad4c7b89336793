"""The stream of DECTRIS detectors, version 2: CBOR messages over ZeroMQ.

The detector pushes three kinds of messages: ``start`` with the experiment, ``image`` with one frame
for each threshold, and ``end``. A channel of several may be chosen: ``tcp://host:31001#threshold_2``.
"""

from typing import Any

import numpy as np
from attrs import define, field
from numpy.typing import NDArray

from ptycho_data.raw import Names
from ptycho_data.streams._base import Begin, End, Event, FramesCame, Incident, SourceKind
from ptycho_data.streams._decode import MessageError, decode_message
from ptycho_data.streams._zmq import Connection

__all__ = ["KIND", "DectrisSource", "messages_to_events"]

#: Messages that are decoded before what came is handed on.
TOGETHER = 64


@define(kw_only=True, eq=False)
class DectrisSource:
    """Frames of a DECTRIS detector; messages of another series than the first are left out.

    Attributes
    ----------
    connection
        Where messages come from.
    channel
        Of several thresholds, which one; empty for the first.
    series
        Of which series the messages are; None takes the first that comes.
    """

    connection: Connection
    channel: str = ""
    series: str | None = None
    waits: bool = field(default=False, init=False)
    _ended: bool = field(default=False, init=False)

    def read(self, seconds: float) -> list[Event]:
        """Return what has come; waits for it at most so many seconds."""
        messages = self.connection.receive(seconds, TOGETHER)
        return [*messages_to_events(self, messages), *self.connection.incidents()]

    def take(self, message: dict[str, Any]) -> "Event | tuple[int, NDArray[Any]] | None":
        """Return the event of one message, or the number and the frame of an image."""
        kind, series = message.get("type"), str(message.get("series_unique_id", ""))
        if kind not in ("start", "image", "end"):
            raise MessageError(f"a message of type start, image or end expected, found {kind!r}")
        if self.series is None:
            self.series = series
        if series != self.series:
            if kind == "start" and not self._ended:
                self._ended = True  # the detector went on to the next series
                return End(what="frames")
            return Incident(kind="other_series", text=f"a message of series {series[:40]}")
        if kind == "start":
            return _begin(message, series)
        if kind == "end":
            self._ended = True
            return End(what="frames")
        return _whole(message.get("image_id"), "image_id"), self._frame(message.get("data"))

    def _frame(self, data: object) -> NDArray[Any]:
        if not isinstance(data, dict) or not data:
            raise MessageError("an image without data")
        frame = data.get(self.channel) if self.channel else next(iter(data.values()))
        if not isinstance(frame, np.ndarray) or frame.ndim != 2:
            raise MessageError(f"no frame of two axes in the channel {self.channel or 'data'}")
        return frame

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()


def messages_to_events(source: DectrisSource, messages: list[bytes]) -> list[Event]:
    """Decode messages; frames that follow each other come together, damaged ones as incidents."""
    events: list[Event] = []
    numbers: list[int] = []
    frames: list[NDArray[Any]] = []

    def hand_on() -> None:
        if numbers:
            events.append(FramesCame(numbers=np.array(numbers), frames=np.stack(frames)))
            numbers.clear()
            frames.clear()

    for data in messages:
        try:
            taken = source.take(decode_message(data))
        except MessageError as error:
            taken = Incident(kind="damaged", text=f"a message left out: {error}")
        if isinstance(taken, tuple):
            if frames and (taken[1].shape, taken[1].dtype) != (frames[0].shape, frames[0].dtype):
                hand_on()
            numbers.append(taken[0])
            frames.append(taken[1])
        elif taken is not None:
            hand_on()
            events.append(taken)
    hand_on()
    return events


def _begin(message: dict[str, Any], series: str) -> Begin:
    """Read what a start message states; what it lacks, or what is no number, is not known."""
    width, height = _positive(message, "pixel_size_x"), _positive(message, "pixel_size_y")
    column, row = _positive(message, "beam_center_x"), _positive(message, "beam_center_y")
    masks = message.get("pixel_mask")
    mask = next(iter(masks.values()), None) if isinstance(masks, dict) else None
    count = message.get("number_of_images")
    return Begin(
        series=series,
        expected=count if isinstance(count, int) and 0 < count < 1 << 40 else None,
        energy_ev=_positive(message, "incident_energy"),
        distance_m=_positive(message, "detector_distance"),
        detector_pixel_m=None if width is None or height is None else (height, width),
        beam_centre=None if row is None or column is None else (row, column),
        mask=mask if isinstance(mask, np.ndarray) and mask.ndim == 2 else None,
    )


def _positive(message: dict[str, Any], name: str) -> float | None:
    value = message.get(name)
    usable = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if usable and 0 < value < 1e12 else None  # type: ignore[operator, arg-type]


def _whole(value: object, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 62:
        raise MessageError(f"{name} must be a number from 0, got {str(value)[:40]}")
    return value


def _open(address: str, names: Names) -> DectrisSource:
    del names
    endpoint, _, channel = address.partition("#")
    return DectrisSource(connection=Connection.pull("--source dectris", endpoint), channel=channel)


KIND = SourceKind(
    name="dectris",
    title="DECTRIS stream V2 over ZeroMQ",
    address="tcp://HOST:31001",
    frames=_open,
)
