"""Positions captured by a PandA: a client of the data port of PandABlocks-server.

The server is described at https://pandablocks.github.io/PandABlocks-server/master/capture.html
"""

import re
from typing import Any

import numpy as np
from attrs import define, field
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError, describe

from ptycho_data.raw import Names
from ptycho_data.streams._base import PIXEL, End, Event, Incident, PositionsCame, SourceKind
from ptycho_data.streams._decode import MessageError, needed
from ptycho_data.streams._tcp import TcpConnection
from ptycho_data.units import metres_per

__all__ = ["KIND", "PORT", "PandaPositions"]

#: Of captured data.
PORT = 8889
_OPTION = "--positions panda"
_ADDRESS = re.compile(r"([^\s:#]+|\[[^\s\]]+\])(?::(\d{1,5}))?#([^\s,]+),([^\s,]+)(?:,([^\s,]+))?")
#: Bytes after which something complete must have come.
_MOST_WAITING = 1 << 28
#: Ends of an experiment at which nothing is missing.
_WELL = ("OK", "DISARMED")


@define(kw_only=True, eq=False)
class PandaPositions:
    """Positions of the samples that a PandA captures, one for each frame.

    A captured field numbers the samples; without one, they are counted from 0, with those that the
    server says were missed because the connection was late. Then only the first experiment counts,
    which is told from others by the time when it was armed.

    Attributes
    ----------
    connection
        To the data port.
    x, y, number
        Names of captured fields, as ``INENC1.VAL`` or, with what is captured of it,
        ``INENC1.VAL.Mean``.
    unit
        Of positions whose fields state none; metres without.
    """

    connection: TcpConnection
    x: str
    y: str
    number: str | None = None
    unit: str | None = None
    waits: bool = field(default=False, init=False)
    _library: Any = field(init=False)
    _parser: Any = field(default=None, init=False)
    _made: int = field(default=0, init=False)
    _waiting: int = field(default=0, init=False)
    _armed: str | None = field(default=None, init=False)
    _begun: bool = field(default=False, init=False)
    _over: bool = field(default=False, init=False)
    _listening: bool = field(default=False, init=False)
    _next: int = field(default=0, init=False)
    _columns: tuple[str, str, str | None] = field(default=("", "", None), init=False)
    _factors: tuple[float, float] = field(default=(1.0, 1.0), init=False)
    _in_pixels: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        """Import the parser of the protocol."""
        self._library = needed("pandablocks", "pandablocks.connections")

    def read(self, seconds: float) -> list[Event]:
        """Return what has come; waits for it at most so many seconds.

        Raises
        ------
        InvalidValueError
            The PandA captures no field of a name, or states no length for it.
        """
        data, incidents = self.connection.receive(seconds)
        events: list[Event] = list(incidents)
        if self.connection.made != self._made:
            self._made, self._waiting = self.connection.made, 0
            self._parser = self._library.DataConnection()
            self._parser.connect(scaled=True)
        if not data:
            return events
        self._waiting += len(data)
        try:
            for part in self._parser.receive_bytes(data):
                self._waiting = 0
                events += self._events(part)
            if self._waiting > _MOST_WAITING:
                raise MessageError(f"{self._waiting} bytes without an end")
        except InvalidValueError:
            raise
        except Exception as error:  # of the parser, for what is not the protocol
            self.connection.drop()
            text = f"{self.connection.name}: no data of a PandA, connecting again: {error}"
            events.append(Incident(kind="damaged", text=text))
        return events

    def close(self) -> None:
        """Close the connection."""
        self.connection.drop()

    def _events(self, part: Any) -> list[Event]:
        kind = type(part).__name__
        if kind == "StartData":
            return self._start(part)
        if kind == "FrameData" and self._listening:
            return [self._positions(part.data)]
        if kind == "EndData" and self._listening:
            return self._end(part)
        return []

    def _start(self, start: Any) -> list[Event]:
        """Take the header of an experiment, or pass over one that is another than the first."""
        another = self._over or (self._begun and start.arm_time != self._armed)
        if another and self.number is None:
            self._listening = False
            text = f"{self.connection.name}: samples of a further experiment left out"
            return [Incident(kind="other_series", text=text)]
        self._begun, self._armed, self._listening = True, start.arm_time, True
        self._next = int(start.missed)
        fields = {f"{one.name}.{one.capture}": one for one in start.fields}
        x, y = _column(fields, self.x), _column(fields, self.y)
        self._columns = (x, y, _column(fields, self.number) if self.number else None)
        stated = [str(fields[name].units or self.unit or "m") for name in (x, y)]
        self._in_pixels = stated == [PIXEL, PIXEL]
        if not self._in_pixels:
            self._factors = (_metres(x, stated[0]), _metres(y, stated[1]))
        return []

    def _positions(self, samples: NDArray[Any]) -> Event:
        x, y, number = self._columns
        if number is None:
            numbers = self._next + np.arange(len(samples))
            self._next += len(samples)
        else:
            if not ((samples[number] >= 0) & (samples[number] < 1 << 62)).all():
                text = f"{self.connection.name}: numbers from 0 expected in {number}"
                return Incident(kind="damaged", text=text)
            numbers = np.rint(samples[number]).astype(np.int64)
        factors = (1.0, 1.0) if self._in_pixels else self._factors
        return PositionsCame(
            numbers=numbers,
            x=samples[x].astype(np.float64) * factors[0],
            y=samples[y].astype(np.float64) * factors[1],
            in_pixels=self._in_pixels,
        )

    def _end(self, end: Any) -> list[Event]:
        """Tell of the end, unless further experiments may go on with the numbers."""
        self._over, self._listening = True, False
        events: list[Event] = []
        if end.reason.name not in _WELL:
            text = f"{self.connection.name}: the PandA ended with {end.reason.value!r}"
            events.append(Incident(kind="damaged", text=text))
        if self.number is None:
            events.append(End(what="positions", expected=self._next))
        return events


def _column(fields: dict[str, Any], name: str) -> str:
    """Return the captured field of a name, with or without what is captured of it."""
    found = [name] if name in fields else [one for one in fields if fields[one].name == name]
    if len(found) != 1:
        rule = f"of {', '.join(fields) or 'fields that are captured: there are none'}"
        raise InvalidValueError("a field of the PandA", rule, describe(name))
    return found[0]


def _metres(name: str, unit: str) -> float:
    try:
        return metres_per(unit)
    except InvalidValueError as error:
        advice = "set the field's UNITS and SCALE on the PandA"
        raise InvalidValueError(f"unit of {name}", error.rule, describe(unit), advice) from None


def _open(address: str, names: Names) -> PandaPositions:
    """Open ``HOST#X,Y``, ``HOST:PORT#X,Y`` or ``HOST#X,Y,NUMBER``."""
    found = _ADDRESS.fullmatch(address)
    port = int(found[2] or PORT) if found else 0
    if not found or not 0 < port < 1 << 16:
        rule = "HOST#X,Y or HOST:PORT#X,Y,NUMBER with captured fields, such as INENC1.VAL"
        raise InvalidValueError(_OPTION, rule, describe(address))
    library = needed("pandablocks", "pandablocks.connections")
    greeting = library.DataConnection().connect(scaled=True)
    connection = TcpConnection.to(_OPTION, found[1].strip("[]"), port, greeting)
    return PandaPositions(
        connection=connection, x=found[3], y=found[4], number=found[5], unit=names.unit
    )


KIND = SourceKind(
    name="panda",
    title="positions captured by a PandA, one sample for each frame",
    address="HOST#X,Y",
    positions=_open,
)
