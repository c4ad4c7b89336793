"""Connections over which a replay sends positions beside the frames of a detector."""

import select
import socket
import struct
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ptycho_data.streams._base import PIXEL
from ptycho_data.streams._decode import needed

__all__ = ["PandaPlaces", "Places", "ZmqPlaces", "pushing", "sent"]

#: Messages that wait for a receiver that does not read, before they are lost.
_WAITING = 20_000
#: Header of an experiment, as PandABlocks-server writes it for the options ``XML FRAMED SCALED``.
_HEADER = """<header>
<data missed="{missed}" process="Scaled" format="Framed" sample_bytes="16" />
<fields>
<field name="INENC1.VAL" type="double" capture="Value" scale="1" offset="0" units="{unit}" />
<field name="INENC2.VAL" type="double" capture="Value" scale="1" offset="0" units="{unit}" />
</fields>
</header>

"""
#: Seconds that a receiver may take for its options, and for what is sent.
_PATIENCE_S = 10.0


class Places(Protocol):
    """Sends positions."""

    def address(self) -> str:
        """Return where to receive, as ``KIND:ADDRESS``."""

    def begin(self) -> None:
        """Wait for a receiver."""

    def send(self, numbers: NDArray[np.int64], places: NDArray[np.float64]) -> None:
        """Send positions (k, 2) of some frames."""

    def end(self, expected: int) -> None:
        """Say that no more will come."""

    def close(self) -> None:
        """Close the connection."""


def pushing(port: int) -> Any:
    """Return a socket of ZeroMQ that pushes, at a port of this computer; 0 takes a free one."""
    zmq = needed("pyzmq", "zmq")
    socket_ = zmq.Context.instance().socket(zmq.PUSH)
    socket_.setsockopt(zmq.SNDHWM, _WAITING)
    socket_.setsockopt(zmq.LINGER, 10_000)
    socket_.bind(f"tcp://127.0.0.1:{port or '*'}")
    return socket_


def sent(socket_: Any, data: bytes) -> bool:
    """Send a message, unless nobody takes it: a detector goes on when its buffer is full."""
    zmq = needed("pyzmq", "zmq")
    try:
        socket_.send(data, zmq.NOBLOCK)
    except zmq.Again:
        return False
    return True


class ZmqPlaces:
    """Messages in CBOR that are pushed over ZeroMQ."""

    def __init__(self, port: int) -> None:
        self.zmq, self.cbor2 = needed("pyzmq", "zmq"), needed("cbor2", "cbor2")
        self.socket = pushing(port)

    def address(self) -> str:
        return f"zmq-pull:{self.socket.getsockopt_string(self.zmq.LAST_ENDPOINT)}"

    def begin(self) -> None:
        while not self.socket.poll(1000, self.zmq.POLLOUT):
            pass

    def send(self, numbers: NDArray[np.int64], places: NDArray[np.float64]) -> None:
        message = {
            "type": "positions",
            "numbers": numbers.tolist(),
            "x": places[:, 0].tolist(),
            "y": places[:, 1].tolist(),
            "unit": PIXEL,
        }
        sent(self.socket, self.cbor2.dumps(message))

    def end(self, expected: int) -> None:
        sent(self.socket, self.cbor2.dumps({"type": "end", "expected": expected}))

    def close(self) -> None:
        self.socket.close()


class PandaPlaces:
    """A server that speaks like the data port of a PandA, one sample for each frame.

    Samples have no numbers of their own. Who connects late is told how many he has missed.
    """

    def __init__(self, port: int) -> None:
        self.server = socket.create_server(("127.0.0.1", port))
        self.waiting: list[socket.socket] = []  # for the header
        self.clients: list[socket.socket] = []
        self.samples = 0

    def address(self) -> str:
        host, port = self.server.getsockname()
        return f"panda:{host}:{port}#INENC1.VAL,INENC2.VAL"

    def begin(self) -> None:
        while not self.waiting:
            self._welcome(1.0)

    def _welcome(self, seconds: float) -> None:
        """Take up receivers that are there, or come within some seconds."""
        while select.select([self.server], [], [], seconds)[0]:
            client, _ = self.server.accept()
            client.settimeout(_PATIENCE_S)
            try:
                options = client.makefile("rb").readline().split()
                known = options == [b"XML", b"FRAMED", b"SCALED"]
                client.sendall(b"OK\n" if known else b"ERR Unknown capture options\n")
            except OSError:
                known = False
            if known:
                self.waiting.append(client)
            else:
                client.close()
            seconds = 0.0

    def send(self, numbers: NDArray[np.int64], places: NDArray[np.float64]) -> None:
        """Send positions of the frames that come next; earlier ones count as missed."""
        if not len(numbers):
            return
        if not self.samples:
            self.samples = int(numbers[0])
        self._welcome(0.0)
        header = _HEADER.format(missed=self.samples, unit=PIXEL).encode()
        self._tell(self.waiting, header)
        self.clients += self.waiting
        self.waiting.clear()
        data = np.ascontiguousarray(places, "<f8").tobytes()
        self._tell(self.clients, b"BIN " + struct.pack("<I", 8 + len(data)) + data)
        self.samples += len(numbers)

    def _tell(self, clients: list[socket.socket], data: bytes) -> None:
        for client in list(clients):
            try:
                client.sendall(data)
            except OSError:
                clients.remove(client)
                client.close()

    def end(self, expected: int) -> None:
        del expected
        self._tell(self.clients, f"END {self.samples} Ok\n".encode())

    def close(self) -> None:
        for client in (*self.waiting, *self.clients):
            client.close()
        self.server.close()
