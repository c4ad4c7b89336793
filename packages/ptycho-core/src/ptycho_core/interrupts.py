"""Ctrl-C and SIGTERM, noted until the work can end without loss."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from attrs import define

__all__ = ["Interrupts"]


@define
class Interrupts:
    """Notes that Ctrl-C or SIGTERM arrived; a second one interrupts at once.

    Attributes
    ----------
    arrived : bool
        Whether one has arrived.
    """

    arrived: bool = False

    def _note(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - a handler's signature
        if self.arrived:
            raise KeyboardInterrupt
        self.arrived = True

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Handle the signals during the block; only the main thread can."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {n: signal.signal(n, self._note) for n in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, signal.SIG_DFL if handler is None else handler)
