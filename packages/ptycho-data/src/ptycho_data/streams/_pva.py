"""EPICS pvAccess: frames as NTNDArray, positions in their attributes or in another PV."""

import queue
import time
from typing import Any, Self

import numpy as np
from attrs import define, field
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError

from ptycho_data.raw import Names
from ptycho_data.streams._base import (
    MOST_PIXELS,
    PIXEL,
    Event,
    FramesCame,
    Incident,
    PositionsCame,
    SourceKind,
)
from ptycho_data.streams._decode import MessageError, needed
from ptycho_data.units import metres_per

__all__ = ["KIND", "Monitor", "PvaFrames", "PvaTable", "frame_of", "table_of"]

#: Updates that wait here while nobody reads, before the server has to wait, where it can.
_WAITING = 2000
_REQUEST = f"record[queueSize={_WAITING},pipeline=true]"
_TOGETHER = 64
#: Types of compressed values, by the number that areaDetector states.
_SCALARS = {1: "i1", 2: "i2", 3: "i4", 4: "i8", 5: "u1", 6: "u2", 7: "u4", 8: "u8", 9: "f4",
            10: "f8"}  # fmt: skip


@define(eq=False)
class Monitor:
    """Updates of a PV, in their order.

    What the PV holds when it is first found is from before, and left out.
    """

    name: str
    _context: Any = field(init=False, default=None)
    _subscription: Any = field(init=False, default=None)
    _updates: "queue.Queue[Any]" = field(factory=lambda: queue.Queue(_WAITING), init=False)
    _closed: bool = field(default=False, init=False)
    _connections: int = field(default=0, init=False)
    _lost: bool = field(default=True, init=False)

    @classmethod
    def opened(cls, name: str) -> Self:
        """Subscribe to a PV, which need not be there yet."""
        thread = needed("p4p", "p4p.client.thread", "epics")
        monitor = cls.of(name, context := thread.Context("pva", nt=False))
        monitor._context = context
        return monitor

    @classmethod
    def of(cls, name: str, context: Any) -> Self:
        """Subscribe by a context of p4p, which the caller closes."""
        monitor = cls(name)
        monitor._subscription = context.monitor(
            name, monitor._put, request=_REQUEST, notify_disconnect=True
        )
        return monitor

    @property
    def connected(self) -> bool:
        """Whether the PV is there."""
        return not self._lost

    def _put(self, update: Any) -> None:
        """Queue an update; runs in a thread of p4p, and makes it wait where the queue is full."""
        while not self._closed:
            try:
                self._updates.put(update, timeout=0.2)
            except queue.Full:
                continue
            return

    def updates(self, seconds: float, most: int) -> tuple[list[Any], list[Event]]:
        """Return values that have come, and what became of the connection."""
        values: list[Any] = []
        events: list[Event] = []
        until = time.monotonic() + seconds
        while len(values) < most:
            try:
                wait = 0.0 if values else max(0.0, until - time.monotonic())
                update = self._updates.get(timeout=wait) if wait else self._updates.get_nowait()
            except queue.Empty:
                break
            if isinstance(update, Exception):
                if not self._lost and self._connections:
                    events.append(Incident(kind="disconnected", text=f"{self.name}: {update}"))
                self._lost = True
                continue
            if self._lost:
                self._lost = False
                self._connections += 1
                if self._connections == 1:
                    continue
                text = f"{self.name}: connected again"
                events.append(Incident(kind="reconnected", text=text))
            values.append(update)
        return values, events

    def close(self) -> None:
        """End the subscription."""
        self._closed = True
        self._subscription.close()
        if self._context is not None:
            self._context.close()


@define(kw_only=True, eq=False)
class PvaFrames:
    """Frames of an NTNDArray, and positions in its attributes if they are named.

    Attributes
    ----------
    monitor
        Updates of the PV.
    attributes
        Names of the attributes with x and y.
    unit
        Their unit; metres without.
    """

    monitor: Monitor
    attributes: tuple[str, str] | None = None
    unit: str | None = None
    waits: bool = field(default=False, init=False)

    @property
    def has_positions(self) -> bool:
        """Whether frames come with their positions."""
        return self.attributes is not None

    def read(self, seconds: float) -> list[Event]:
        """Return what has come; waits for it at most so many seconds."""
        values, events = self.monitor.updates(seconds, _TOGETHER)
        numbers: list[int] = []
        frames: list[NDArray[Any]] = []
        places: list[tuple[int, float, float]] = []
        for value in values:
            try:
                number, frame = frame_of(value)
                if frames and (frame.shape, frame.dtype) != (frames[0].shape, frames[0].dtype):
                    events.append(FramesCame(numbers=np.array(numbers), frames=np.stack(frames)))
                    numbers, frames = [], []
                numbers.append(number)
                frames.append(frame)
                if self.attributes is not None:
                    x, y = (_attribute(value, name) for name in self.attributes)
                    places.append((number, x, y))
            except MessageError as error:
                text = f"{self.monitor.name}: an update left out: {error}"
                events.append(Incident(kind="damaged", text=text))
        if frames:
            events.append(FramesCame(numbers=np.array(numbers), frames=np.stack(frames)))
        if places:
            table = np.array(places)
            found = [number for number, _, _ in places]
            events.append(_positions(np.array(found), table[:, 1], table[:, 2], self.unit))
        return events

    def close(self) -> None:
        """End the subscription."""
        self.monitor.close()


@define(kw_only=True, eq=False)
class PvaTable:
    """Positions of a PV that is an NTTable with the columns number, x and y."""

    monitor: Monitor
    unit: str | None = None
    waits: bool = field(default=False, init=False)

    def read(self, seconds: float) -> list[Event]:
        """Return what has come; waits for it at most so many seconds."""
        values, events = self.monitor.updates(seconds, _TOGETHER)
        for value in values:
            try:
                numbers, x, y = table_of(value)
            except MessageError as error:
                text = f"{self.monitor.name}: an update left out: {error}"
                events.append(Incident(kind="damaged", text=text))
                continue
            if len(numbers):
                events.append(_positions(numbers, x, y, self.unit))
        return events

    def close(self) -> None:
        """End the subscription."""
        self.monitor.close()


def frame_of(value: Any) -> tuple[int, NDArray[Any]]:
    """Return number and frame (H, W) of an NTNDArray, whose first dimension is the width.

    Raises
    ------
    MessageError
        It is no NTNDArray, or its values do not fit its dimensions.
    """
    try:
        number = int(value["uniqueId"])
        width, height = (int(one["size"]) for one in value["dimension"])
        codec, pixels = str(value["codec.name"]), value["value"]
    except (KeyError, TypeError, ValueError) as error:
        raise MessageError(f"no NTNDArray of two dimensions ({error})") from None
    if number < 0 or not 0 < width * height <= MOST_PIXELS or min(width, height) < 1:
        raise MessageError(f"number {number}, dimensions {width} x {height}")
    if codec:
        pixels = _unpacked(codec, value, (height, width))
    array = np.asarray(pixels)
    if array.size != width * height or array.dtype.kind not in "iuf":
        raise MessageError(f"{array.size} values of {array.dtype} for {width} x {height}")
    return number, array.reshape(height, width)


def _unpacked(codec: str, value: Any, shape: tuple[int, int]) -> NDArray[Any]:
    """Decompress values as areaDetector compresses them: without a header."""
    name = _SCALARS.get(int(value["codec.parameters"] or 0))
    if name is None:
        raise MessageError(f"values of the type {value['codec.parameters']}")
    dtype, data = np.dtype(name), np.asarray(value["value"]).view(np.uint8)
    size = shape[0] * shape[1] * dtype.itemsize
    if codec != "lz4":
        raise MessageError(f"compression {codec[:20]!r}: set that of the plugin to none or lz4")
    lz4 = needed("lz4", "lz4.block")
    try:
        plain = lz4.decompress(data.tobytes(), uncompressed_size=size)
    except Exception as error:  # of the library, for damaged bytes
        raise MessageError(f"lz4 data that cannot be read ({error})") from error
    if len(plain) != size:
        raise MessageError(f"{len(plain)} bytes for {shape} {dtype}")
    return np.frombuffer(plain, dtype)


def _attribute(value: Any, name: str) -> float:
    for one in value["attribute"]:
        if one["name"] == name:
            try:
                return float(one["value"])
            except (TypeError, ValueError):
                break
    raise MessageError(f"no number in the attribute {name}")


def table_of(value: Any) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Return numbers, x and y of an NTTable; empty ones of one without rows.

    Raises
    ------
    MessageError
        It lacks a column, or they differ in length.
    """
    try:
        columns = [value[f"value.{name}"] for name in ("number", "x", "y")]
    except (KeyError, TypeError) as error:
        raise MessageError(f"no table with the columns number, x and y ({error})") from None
    numbers, x, y = (np.asarray([] if one is None else one, np.float64) for one in columns)
    whole = numbers == np.round(numbers)
    if not len(numbers) == len(x) == len(y) or not (whole & (numbers >= 0)).all():
        raise MessageError("columns of one length, with numbers from 0, expected")
    return numbers.astype(np.int64), x, y


def _positions(
    numbers: NDArray[np.int64], x: NDArray[np.float64], y: NDArray[np.float64], unit: str | None
) -> PositionsCame:
    factor = 1.0 if unit in (None, PIXEL) else metres_per(unit or "m")
    return PositionsCame(numbers=numbers, x=x * factor, y=y * factor, in_pixels=unit == PIXEL)


def _frames(address: str, names: Names) -> PvaFrames:
    """Open ``PV``, or ``PV#X,Y`` with the names of two attributes."""
    name, separator, rest = address.partition("#")
    attributes = tuple(rest.split(","))
    if separator and (len(attributes) != 2 or not all(attributes)):
        rule = "PV, or PV#X,Y with the attributes of the positions"
        raise InvalidValueError("--source pva", rule, address)
    monitor = Monitor.opened(name)
    pair = (attributes[0], attributes[1]) if separator else None
    return PvaFrames(monitor=monitor, attributes=pair, unit=names.unit)


def _table(address: str, names: Names) -> PvaTable:
    return PvaTable(monitor=Monitor.opened(address), unit=names.unit)


KIND = SourceKind(
    name="pva",
    title="EPICS pvAccess: NTNDArray, and NTTable for positions",
    address="PV, PV#X,Y",
    frames=_frames,
    positions=_table,
)
