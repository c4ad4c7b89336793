"""Where progress is shown: a line that stays in place on a terminal or in a notebook, or a log.

On a terminal everything else that is printed, by log records, warnings or frameworks, appears above
the line. There is no thread that draws: processes that are forked meanwhile would inherit its lock.
"""

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from threading import Lock
from typing import Any, TextIO, cast

from ptycho_core.progress.bar import Bar

__all__ = ["displayed"]

log = logging.getLogger(__name__)

Draw = Callable[[], None]

#: Seconds between two pictures on a terminal, and in a notebook, which keeps up less well.
INTERVAL, NOTEBOOK_INTERVAL = 0.2, 0.5
#: Columns of the line in a notebook.
NOTEBOOK_WIDTH = 90
#: Seconds between two lines of a log. Later they come each time the work has lasted 5 % longer.
LOG_INTERVAL, LOG_SHARE = 10.0, 0.05

#: Held while a bar is shown: there is one terminal.
_shown = Lock()


@contextmanager
def displayed(bar: Bar) -> Iterator[Draw]:
    """Show a bar on standard error while it moves; one within another is shown as a log.

    Yields
    ------
    Callable
        ``draw()``, to be called after every move; it is cheap, since few calls draw.
    """
    alone = _shown.acquire(blocking=False)
    try:
        with (_place() if alone else _logged)(bar) as draw:
            yield draw
    finally:
        if alone:
            _shown.release()


def _place() -> Callable[[Bar], AbstractContextManager[Draw]]:
    if sys.stderr.isatty() and os.environ.get("TERM") not in ("dumb", "unknown"):
        return _on_terminal
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return _in_notebook if type(shell).__name__ == "ZMQInteractiveShell" else _logged


@contextmanager
def _logged(bar: Bar) -> Iterator[Draw]:
    began = bar.told = time.monotonic()

    def draw() -> None:
        now = time.monotonic()
        if now - bar.told >= max(LOG_INTERVAL, LOG_SHARE * (now - began)):
            bar.told = now
            log.info("%s", bar.sentence())

    yield draw


@contextmanager
def _in_notebook(bar: Bar) -> Iterator[Draw]:
    display = import_module("IPython.display").display

    def content() -> dict[str, str]:
        return {"text/plain": "".join(bar.line(NOTEBOOK_WIDTH))}

    handle = display(content(), raw=True, display_id=True)
    yield _seldom(lambda: handle.update(content(), raw=True), NOTEBOOK_INTERVAL)
    handle.update(content(), raw=True)


@contextmanager
def _on_terminal(bar: Bar) -> Iterator[Draw]:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    class Terminal(Console):
        def show_cursor(self, show: bool = True) -> bool:
            """Leave the cursor alone: a process that is killed would leave it hidden."""
            return show

    stream = sys.stderr
    console = Terminal(
        file=cast("TextIO", _Lasting(stream)),
        force_terminal=True,
        force_jupyter=False,
        soft_wrap=True,  # the terminal wraps: names of files can be copied
        markup=False,
        emoji=False,
        highlight=False,
    )
    marks = {"full": "#", "empty": "-"} if console.options.ascii_only else {}

    def picture() -> Text:
        console.width = _columns(stream)
        before, done, left, after = bar.line(console.width - 1, **marks)
        return Text.assemble(before, (done, "green"), (left, "dim"), after)

    live = Live(
        console=console,
        get_renderable=picture,
        auto_refresh=False,
        transient=True,
        redirect_stdout=sys.stdout.isatty(),
    )
    with live, _following(stream):
        live.refresh()
        yield _seldom(live.refresh, INTERVAL)


class _Lasting:
    """A terminal that may be closed while the work goes on: what comes later is dropped."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._open = True

    def write(self, text: str) -> int:
        """Write text."""
        self._do(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Flush."""
        self._do(self._stream.flush)

    def _do(self, write: Callable[[], object]) -> None:
        if self._open:
            try:
                write()
            except OSError:
                self._open = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _seldom(draw: Draw, interval: float) -> Draw:
    """Draw at most once per interval."""
    last = time.monotonic()

    def seldom() -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= interval:
            last = now
            draw()

    return seldom


def _columns(stream: TextIO) -> int:
    """Return the present width of a terminal."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except OSError:
        return 80


@contextmanager
def _following(stream: TextIO) -> Iterator[None]:
    """Let log handlers that write to the terminal follow `sys.stderr`, which has been replaced."""
    known = [logging.getLogger(), *logging.getLogger().manager.loggerDict.values()]
    found = [
        handler
        for logger in known
        if isinstance(logger, logging.Logger)
        for handler in logger.handlers
        if isinstance(handler, logging.StreamHandler) and handler.stream is stream
    ]
    for handler in found:
        handler.setStream(sys.stderr)
    try:
        yield
    finally:
        for handler in found:
            handler.setStream(stream)
