"""Sources of files, which tell nobody that they grew."""

import time

from attrs import define, field

from ptycho_data.streams._base import Event

__all__ = ["PolledSource"]

#: Seconds between two looks at a file.
_PAUSE = 0.05


@define(kw_only=True, eq=False)
class PolledSource:
    """A source that is looked at until something has come.

    Subclasses define `_look`. Files are open only while they are read.
    """

    waits: bool = field(default=True, init=False)
    _over: bool = field(default=False, init=False)

    def _look(self) -> list[Event]:
        """Return what has come since the last look."""
        raise NotImplementedError

    def read(self, seconds: float) -> list[Event]:
        """Return what has come; waits for it at most so many seconds."""
        until = time.monotonic() + seconds
        while not (events := self._look()) and (left := until - time.monotonic()) > 0:
            time.sleep(min(_PAUSE, left))
        return events

    def close(self) -> None:
        """Do nothing: nothing is open."""
