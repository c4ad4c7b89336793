"""What a run tells its live page; the base class tells nobody."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from ptycho_core.live_page.snapshot import Snapshot

__all__ = ["Ending", "Publisher"]

Ending = Literal["finished", "interrupted", "failed"]


class Publisher:
    """Publishes nothing: what a run has that nobody watches.

    No method blocks or raises, whatever becomes of the page and its viewers. All may be called from
    any thread and as often as there is something new: the page shows the newest.

    Examples
    --------
    >>> with live_page(parse_address("8050")) as page:  # doctest: +SKIP
    ...     page.begin("reconstruct", scan="scan.npz", patterns=500)
    ...     for epoch in range(1, 51):
    ...         page.progress(epoch, 50, "epochs")
    ...         page.now(rate=310.2)
    ...         page.point("epoch", epoch, r_factor=0.2 / epoch)
    ...         page.offer(lambda: Snapshot(reconstruction=current()))
    """

    #: Where the page is, for people; empty if there is none.
    url: str = ""

    @property
    def is_watched(self) -> bool:
        """Whether there is a page at all, so that it is worth preparing what it shows."""
        return bool(self.url)

    def begin(self, command: str, **facts: str | float) -> None:
        """Begin a run, or the next one of several: the page forgets the one before.

        Parameters
        ----------
        command
            ``train``, ``reconstruct``, ``stream``: what runs.
        **facts
            What does not change, shown by name: ``scan``, ``method``, ``patterns``, ...
        """

    def stage(self, name: str) -> None:
        """Say what the run does now: ``read``, ``solve``, ``write``, ..."""

    def progress(self, done: float, total: float | None, unit: str) -> None:
        """Say how much is done, and of how much where that is known: ``3, 20, "epochs"``."""

    def now(self, **values: float) -> None:
        """Give values that change, by name; their course over time is drawn.

        Those that the page knows have a unit: ``rate`` (patterns per second), ``latency`` (seconds
        from a pattern to the picture), ``queue``, ``lost``, ``late``, ``doubled`` (patterns).
        Others are shown as they are named.
        """

    def point(self, over: str, x: float, **values: float) -> None:
        """Add a point to each curve named, over a common axis: ``point("epoch", 3, loss=0.2)``.

        Points come in the order of `x`.
        """

    def caution(self, text: str) -> None:
        """Add a doubt about scan or result, one line."""

    def offer(self, make: Callable[[], Snapshot]) -> bool:
        """Offer a picture: `make` is called only if one is due.

        After a picture, the next one is due a hundred times as long as it took to make, at least a
        second; an error in `make` is a warning.

        Returns
        -------
        bool
            Whether it was called.
        """
        del make
        return False

    def show(self, snapshot: Snapshot) -> None:
        """Show a picture in any case: the last one of a run."""

    def end(self, how: Ending, text: str = "", path: Path | None = None) -> None:
        """End the run: in one line of text, with the folder of its results.

        What is said first counts.
        """

    @contextmanager
    def ending(self) -> Iterator[None]:
        """End the run as the block ends, unless the block does so itself."""
        try:
            yield
        except KeyboardInterrupt as stop:
            self.end("interrupted", str(stop))
            raise
        except BaseException as error:
            self.end("failed", str(error) or type(error).__name__)
            raise
        self.end("finished")
