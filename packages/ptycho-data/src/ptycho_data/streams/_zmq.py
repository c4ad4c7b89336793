"""ZeroMQ sockets that messages come from, and positions that come so."""

import json
import re
from typing import Any, Self

import numpy as np
from attrs import define, field
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError, describe

from ptycho_data.raw import Names
from ptycho_data.streams._base import PIXEL, End, Event, Incident, PositionsCame, SourceKind
from ptycho_data.streams._decode import MessageError, decode_message, needed
from ptycho_data.units import metres_per

__all__ = ["PUBLISHED", "PUSHED", "Connection", "ZmqPositions", "positions_in"]

_ENDPOINT = re.compile(r"(tcp://[^\s:]+:\d{1,5}|ipc://\S+)")
#: Messages that wait here while nobody reads, before the sender has to wait; and the largest one.
_WAITING, _LARGEST = 2000, 1 << 29
#: Positions in one message.
_MOST = 1 << 22


@define(eq=False)
class Connection:
    """A socket, and whether its other end is there.

    Attributes
    ----------
    socket, monitor
        Of pyzmq.
    """

    socket: Any
    monitor: Any
    _zmq: Any
    _connections: int = field(default=0, init=False)

    @classmethod
    def pull(cls, option: str, endpoint: str) -> Self:
        """Connect to a socket that pushes messages."""
        return cls._connected(option, endpoint, "PULL")

    @classmethod
    def subscribe(cls, option: str, endpoint: str) -> Self:
        """Connect to a socket that publishes messages, of all topics."""
        return cls._connected(option, endpoint, "SUB")

    @classmethod
    def _connected(cls, option: str, endpoint: str, kind: str) -> Self:
        if not _ENDPOINT.fullmatch(endpoint):
            raise InvalidValueError(option, "tcp://HOST:PORT", describe(endpoint))
        zmq = needed("pyzmq", "zmq")
        socket = zmq.Context.instance().socket(getattr(zmq, kind))
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.RCVHWM, _WAITING)
        socket.setsockopt(zmq.MAXMSGSIZE, _LARGEST)
        socket.setsockopt(zmq.RECONNECT_IVL, 100)
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, 2000)
        # a host that vanished without a word is noticed, too
        socket.setsockopt(zmq.TCP_KEEPALIVE, 1)
        socket.setsockopt(zmq.TCP_KEEPALIVE_IDLE, 10)
        if kind == "SUB":
            socket.setsockopt(zmq.SUBSCRIBE, b"")
        monitor = socket.get_monitor_socket(zmq.EVENT_CONNECTED | zmq.EVENT_DISCONNECTED)
        try:
            socket.connect(endpoint)
        except zmq.ZMQError as error:
            socket.close()
            advice = f"the system says: {error}"
            raise InvalidValueError(option, "tcp://HOST:PORT", describe(endpoint), advice) from None
        return cls(socket, monitor, zmq)

    def receive(self, seconds: float, most: int) -> list[bytes]:
        """Return messages that have come; waits for the first at most so many seconds.

        Of messages of several parts, the last one is taken: a topic may come before it.
        """
        if not self.socket.poll(int(1000 * seconds)):
            return []
        messages: list[bytes] = []
        while len(messages) < most:
            try:
                messages.append(self.socket.recv_multipart(self._zmq.NOBLOCK)[-1])
            except self._zmq.Again:
                break
        return messages

    def incidents(self) -> list[Event]:
        """Return what became of the connection, once all that came over it has been received.

        A sender that has ended is gone while its last messages still wait here.
        """
        from zmq.utils.monitor import recv_monitor_message

        found: list[Event] = []
        if self.socket.poll(0):
            return found
        while self.monitor.poll(0):
            event = recv_monitor_message(self.monitor)
            endpoint = event["endpoint"].decode("utf-8", "replace")
            if event["event"] == self._zmq.EVENT_DISCONNECTED:
                found.append(Incident(kind="disconnected", text=f"{endpoint}: connection lost"))
            else:
                self._connections += 1
                if self._connections > 1:
                    found.append(Incident(kind="reconnected", text=f"{endpoint}: connected again"))
        return found

    def close(self) -> None:
        """Close the socket."""
        self.socket.disable_monitor()
        self.monitor.close()
        self.socket.close()


@define(kw_only=True, eq=False)
class ZmqPositions:
    """Positions that are published, by the numbers of their frames; see `positions_in`."""

    connection: Connection
    unit: str | None = None
    waits: bool = field(default=False, init=False)

    def read(self, seconds: float) -> list[Event]:
        """Return what has come; waits for it at most so many seconds."""
        events: list[Event] = []
        for data in self.connection.receive(seconds, 256):
            try:
                events.append(positions_in(_map(data), self.unit))
            except MessageError as error:
                events.append(Incident(kind="damaged", text=f"a message left out: {error}"))
        return [*events, *self.connection.incidents()]

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()


def _map(data: bytes) -> dict[str, Any]:
    """Return the map in a message, JSON or CBOR: no map in CBOR begins like one in JSON."""
    if data[:1] != b"{":
        return decode_message(data)
    try:
        message = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise MessageError(f"no JSON that can be read ({str(error)[:80]})") from error
    if not isinstance(message, dict):  # pragma: no cover - a brace begins a map
        raise MessageError("a map expected")
    return message


def positions_in(message: dict[str, Any], unit: str | None = None) -> Event:
    """Return the positions in a message.

    Parameters
    ----------
    message
        ``{"type": "positions", "numbers": [...], "x": [...], "y": [...], "unit": "um"}``. Instead
        of ``numbers``, ``first`` has that of the first position. ``{"type": "end"}`` is the last
        message; it may have their number as ``expected``.
    unit
        Unit of positions that state none; wins over none.

    Raises
    ------
    MessageError
        Something is missing, or of another kind or length.
    """
    kind = message.get("type", "positions")
    if kind == "end":
        count = message.get("expected")
        return End(what="positions", expected=count if isinstance(count, int) else None)
    if kind != "positions":
        raise MessageError(f"a message of type positions or end expected, found {kind!r}")
    x, y = (_numbers(message.get(name), name).astype(np.float64) for name in "xy")
    if "numbers" in message:
        numbers = _numbers(message["numbers"], "numbers")
    else:
        first = message.get("first")
        if isinstance(first, bool) or not isinstance(first, int) or not 0 <= first < 1 << 62:
            raise MessageError("numbers, or the first of them, expected")
        numbers = first + np.arange(len(x))
    if numbers.dtype.kind not in "iu" or not len(numbers) == len(x) == len(y):
        raise MessageError(f"{len(numbers)} numbers, {len(x)} x and {len(y)} y")
    if len(numbers) and (int(numbers.min()) < 0 or int(numbers.max()) >= 1 << 62):
        raise MessageError("numbers from 0 expected")
    stated = message.get("unit", unit)
    if stated == PIXEL:
        factor = 1.0
    else:
        try:
            factor = metres_per(str(stated or "m"))
        except InvalidValueError as error:
            raise MessageError(f"unit {str(stated)[:20]!r}: {error.rule} expected") from None
    return PositionsCame(
        numbers=numbers.astype(np.int64), x=x * factor, y=y * factor, in_pixels=stated == PIXEL
    )


def _numbers(values: object, name: str) -> NDArray[Any]:
    try:
        array = np.asarray(values)
    except (ValueError, OverflowError):
        raise MessageError(f"{name}: a list of numbers expected") from None
    if array.ndim != 1 or array.dtype.kind not in "iuf" or len(array) > _MOST:
        raise MessageError(f"{name}: a list of numbers expected, found {array.dtype} {array.shape}")
    return array


def _subscribe(address: str, names: Names) -> ZmqPositions:
    connection = Connection.subscribe("--positions zmq", address)
    return ZmqPositions(connection=connection, unit=names.unit)


def _pull(address: str, names: Names) -> ZmqPositions:
    connection = Connection.pull("--positions zmq-pull", address)
    return ZmqPositions(connection=connection, unit=names.unit)


PUBLISHED = SourceKind(
    name="zmq",
    title="positions published over ZeroMQ (PUB), as CBOR or JSON",
    address="tcp://HOST:PORT",
    positions=_subscribe,
)
PUSHED = SourceKind(
    name="zmq-pull",
    title="positions pushed over ZeroMQ (PUSH), as CBOR or JSON",
    address="tcp://HOST:PORT",
    positions=_pull,
)
