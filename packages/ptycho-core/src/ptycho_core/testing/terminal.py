"""A terminal whose screen a test can read. Importing this module needs pyte."""

import fcntl
import logging
import os
import pty
import struct
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import pyte
from ptycho_config.log_format import PlainFormatter

__all__ = ["Terminal", "logged_terminal", "recorded_terminal", "terminal"]

#: Rows of the screen: as many as a test writes, so that nothing scrolls away.
ROWS = 400


class Terminal:
    """A terminal of some width and what is on its screen.

    Attributes
    ----------
    descriptor : int
        File that a program writes to.
    seen : bytes
        Everything that was written; complete once the terminal is closed.
    """

    def __init__(self, columns: int) -> None:
        self._screen = pyte.Screen(columns, ROWS)
        self._stream = pyte.ByteStream(self._screen)
        self._end, self.descriptor = pty.openpty()
        self.resize(columns)
        self.seen = b""
        self._reader = Thread(target=self._read)
        self._reader.start()

    def resize(self, columns: int) -> None:
        """Change the width that programs see; what is on the screen stays as it is."""
        size = struct.pack("HHHH", ROWS, columns, 0, 0)
        fcntl.ioctl(self.descriptor, termios.TIOCSWINSZ, size)

    def close(self) -> None:
        """Read to the end."""
        os.close(self.descriptor)
        self._reader.join()
        os.close(self._end)

    def _read(self) -> None:
        while True:
            try:
                part = os.read(self._end, 65536)
            except OSError:  # how Linux says that the other end is closed
                return
            if not part:
                return
            self.seen += part
            self._stream.feed(part)

    @property
    def lines(self) -> list[str]:
        """Rows of the screen, without empty ones."""
        return [line.rstrip() for line in self._screen.display if line.strip()]

    @property
    def cursor(self) -> bool:
        """Whether the cursor is visible."""
        return not self._screen.cursor.hidden


@contextmanager
def terminal(columns: int) -> Iterator[Terminal]:
    """Open a terminal for other processes."""
    opened = Terminal(columns)
    try:
        yield opened
    finally:
        opened.close()


@contextmanager
def recorded_terminal(columns: int) -> Iterator[Terminal]:
    """Open a terminal as standard error of this process."""
    stderr, term = sys.stderr, os.environ.get("TERM")
    with terminal(columns) as opened, os.fdopen(os.dup(opened.descriptor), "w", 1) as stream:
        sys.stderr, os.environ["TERM"] = stream, "xterm-256color"
        try:
            yield opened
        finally:
            sys.stderr = stderr
            os.environ.pop("TERM")
            if term is not None:
                os.environ["TERM"] = term


@contextmanager
def logged_terminal(columns: int) -> Iterator[Terminal]:
    """Open a terminal as standard error, where `ptycho_core` logs its lines."""
    log = logging.getLogger("ptycho_core")
    level = log.level
    with recorded_terminal(columns) as opened:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(PlainFormatter())
        log.addHandler(handler)
        log.setLevel(logging.INFO)
        try:
            yield opened
        finally:
            log.removeHandler(handler)
            log.setLevel(level)
