"""Open the page of a run: a process that serves it, and a thread that tells it what is new."""

import logging
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from ptycho_core.live_page.address import Address
from ptycho_core.live_page.messages import Message
from ptycho_core.live_page.needed import require_server
from ptycho_core.live_page.outbox import Outbox
from ptycho_core.live_page.publisher import Ending, Publisher
from ptycho_core.live_page.snapshot import Snapshot
from ptycho_core.sparing import sparing_results

__all__ = ["live_page"]

log = logging.getLogger(__name__)

#: A picture is due after that many times as long as the last one took to make, at least seconds;
#: the first one may import and compile, and counts less.
EVERY_TIMES, FIRST_TIMES, EVERY_S = 100.0, 10.0, 1.0
#: Seconds between two deliveries: what is published meanwhile goes together.
DELIVERY_S = 0.1
#: Seconds that the end of a run waits for its page to take what is left, and to end.
PATIENCE_S = 3.0


@contextmanager
def live_page(address: Address | None) -> Iterator[Publisher]:
    """Serve the page of a run while the block runs.

    Parameters
    ----------
    address
        Where; None serves none, and what is published costs nothing.

    Yields
    ------
    Publisher

    Raises
    ------
    InvalidValueError
        If the port is taken.
    MissingPackageError
        If the packages for the page are not installed; the message has the pip command.
    """
    if address is None:
        yield Publisher()
        return
    page = _Page(address)
    try:
        log.info("live page: %s", page.url)
        with page.ending():
            yield page
    finally:
        page.close()


class _Page(Publisher):
    """Publishes to a process of its own.

    The process gets the port and one end of a pair of sockets. It ends when the run closes the
    other end or dies.
    """

    def __init__(self, address: Address) -> None:
        require_server()
        self._outbox = Outbox()
        self._due, self._times = 0.0, FIRST_TIMES
        with address.listen() as listener:
            self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the page
            self.url = address.url(listener.getsockname()[1])
            self._channel, theirs = socket.socketpair()
            with theirs:
                self._process = _start(listener, theirs, self._errors)
        self._hello = Message(kind="hello", content={"host": address.host, "token": address.token})
        self._sender = threading.Thread(target=self._send, name="live page", daemon=True)
        self._sender.start()

    def begin(self, command: str, **facts: str | float) -> None:
        self._outbox.begin({"command": command, "facts": facts, "began": time.time()})
        self._due = 0.0

    def stage(self, name: str) -> None:
        self._outbox.now({"stage": name})

    def progress(self, done: float, total: float | None, unit: str) -> None:
        self._outbox.now({"progress": {"done": done, "total": total, "unit": unit}})

    def now(self, **values: float) -> None:
        self._outbox.now({f"value {name}": value for name, value in values.items()})

    def point(self, over: str, x: float, **values: float) -> None:
        self._outbox.point({"over": over, "x": x, "values": values})

    def caution(self, text: str) -> None:
        self._outbox.caution(text)

    def offer(self, make: Callable[[], Snapshot]) -> bool:
        began = time.monotonic()
        if began < self._due or self._outbox.picture_waits or not self._sender.is_alive():
            return False
        with sparing_results("no picture for the live page"):
            self._outbox.show(make())
        ended = time.monotonic()
        self._due = ended + max(EVERY_S, self._times * (ended - began))
        self._times = EVERY_TIMES
        return True

    def show(self, snapshot: Snapshot) -> None:
        self._outbox.show(snapshot)

    def end(self, how: Ending, text: str = "", path: Path | None = None) -> None:
        where = "" if path is None else str(path)
        self._outbox.end({"how": how, "text": text, "path": where, "ended": time.time()})

    def close(self) -> None:
        """Give the page what is left, and end it; a page that hangs is ended anyway."""
        self._outbox.close()
        self._sender.join(PATIENCE_S)
        with suppress(OSError):
            self._channel.shutdown(socket.SHUT_RDWR)  # also wakes a sender that hangs
        try:
            self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._channel.close()
        self._errors.close()

    def _send(self) -> None:
        """Send what is published, until the page is closed or its process is gone."""
        try:
            self._deliver(self._hello)
            while (messages := self._outbox.take()) is not None:
                for make in messages:
                    self._deliver(make())
                time.sleep(DELIVERY_S)
        except OSError:
            if not self._outbox.closed:
                reason = _last_line(self._errors)
                log.warning("the live page ended, and the run goes on without it: %s", reason)
        except Exception as error:  # a picture is no reason to lose the run
            log.warning("the live page failed, and the run goes on without it", exc_info=error)

    def _deliver(self, message: Message) -> None:
        for part in message.parts():
            self._channel.sendall(part)


def _start(
    listener: socket.socket, channel: socket.socket, errors: IO[bytes]
) -> "subprocess.Popen[bytes]":
    """Start the process that serves; Ctrl-C in the terminal of the run does not reach it."""
    descriptors = (listener.fileno(), channel.fileno())
    module = "ptycho_core.live_page.server"
    return subprocess.Popen(  # noqa: S603 - our own module
        [sys.executable, "-m", module, *map(str, descriptors)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=errors,
        pass_fds=descriptors,
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )


def _last_line(errors: IO[bytes]) -> str:
    errors.seek(0)
    lines = errors.read().decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "its process is gone"
