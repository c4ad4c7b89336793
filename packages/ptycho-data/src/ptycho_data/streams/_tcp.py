"""A connection over TCP that is made again when it is lost, and never waits longer than it may."""

import select
import socket
import time
from typing import Any, Self

from attrs import define, field
from ptycho_config.errors import InvalidValueError, describe

from ptycho_data.streams._base import Incident

__all__ = ["TcpConnection"]

#: Seconds between two attempts, and for each of them; bytes of one reading.
_PAUSE, _ATTEMPT, _CHUNK = 0.5, 5.0, 1 << 16


@define(eq=False)
class TcpConnection:
    """A client of a server that need not be there yet.

    Attributes
    ----------
    name
        Of the server, for messages.
    greeting : bytes
        Sent whenever the connection is made.
    made
        How often it was made.
    """

    name: str
    greeting: bytes
    made: int = field(default=0, init=False)
    _address: Any
    _family: int
    _socket: socket.socket | None = field(default=None, init=False)
    _up: bool = field(default=False, init=False)
    _next: float = field(default=0.0, init=False)

    @classmethod
    def to(cls, option: str, host: str, port: int, greeting: bytes) -> Self:
        """Find the address of a server; nothing is connected yet.

        Raises
        ------
        InvalidValueError
            There is no host of this name.
        """
        try:
            family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        except (OSError, UnicodeError) as error:
            advice = f"the system says: {error}"
            raise InvalidValueError(option, "a host", describe(host), advice) from None
        return cls(f"{host}:{port}", greeting, address, family)

    def receive(self, seconds: float) -> tuple[bytes, list[Incident]]:
        """Return bytes that have come, and what became of the connection.

        Waits for them at most so many seconds. When `made` has grown, they begin a new answer.
        """
        until = time.monotonic() + seconds
        found: list[Incident] = []
        if not self._up:
            if not self._connected(until):
                time.sleep(max(0.0, min(until, self._next) - time.monotonic()))
                return b"", found
            if self.made > 1:
                found.append(Incident(kind="reconnected", text=f"{self.name}: connected again"))
        assert self._socket is not None  # noqa: S101
        ready, _, _ = select.select([self._socket], [], [], max(0.0, until - time.monotonic()))
        if not ready:
            return b"", found
        try:
            data = self._socket.recv(_CHUNK)
        except OSError:
            data = b""
        if not data:
            self.drop()
            found.append(Incident(kind="disconnected", text=f"{self.name}: connection lost"))
        return data, found

    def _connected(self, until: float) -> bool:
        """Go on with connecting; True once the greeting is sent."""
        now = time.monotonic()
        if self._socket is None:
            if now < self._next:
                return False
            self._socket = socket.socket(self._family, socket.SOCK_STREAM)
            self._socket.setblocking(False)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            self._socket.connect_ex(self._address)
            self._next = now + _ATTEMPT
        _, ready, _ = select.select([], [self._socket], [], max(0.0, until - now))
        failed = ready and self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if failed or (not ready and time.monotonic() > self._next):
            self.drop()
        if failed or not ready:
            return False
        try:
            self._socket.sendall(self.greeting)
        except OSError:
            self.drop()
            return False
        self._up = True
        self.made += 1
        return True

    def drop(self) -> None:
        """End the connection; it is made again, after a pause."""
        if self._socket is not None:
            self._socket.close()
        self._socket, self._up = None, False
        self._next = time.monotonic() + _PAUSE
