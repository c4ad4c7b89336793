"""For tests of the live page: a small reconstruction, requests to the page, a page that records."""

import http.client
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from ptycho_data import Reconstruction

from ptycho_core.live_page import Publisher, Snapshot
from ptycho_core.live_page.publisher import Ending

__all__ = ["RecordingPage", "ask", "events", "small_snapshot", "until"]


class RecordingPage(Publisher):
    """Keeps what is published in `said`, as (method, content), and takes every picture."""

    url = "here"

    def __init__(self) -> None:
        self.said: list[tuple[str, Any]] = []
        self.snapshots: list[Snapshot] = []

    def of(self, method: str) -> list[Any]:
        """Return the contents of all calls of a method."""
        return [content for name, content in self.said if name == method]

    def begin(self, command: str, **facts: str | float) -> None:
        """Keep command and facts."""
        self.said.append(("begin", {"command": command, **facts}))

    def stage(self, name: str) -> None:
        """Keep the stage."""
        self.said.append(("stage", name))

    def progress(self, done: float, total: float | None, unit: str) -> None:
        """Keep the progress."""
        self.said.append(("progress", (done, total, unit)))

    def now(self, **values: float) -> None:
        """Keep the values."""
        self.said.append(("now", values))

    def point(self, over: str, x: float, **values: float) -> None:
        """Keep the point."""
        self.said.append(("point", {over: x, **values}))

    def caution(self, text: str) -> None:
        """Keep the caution."""
        self.said.append(("caution", text))

    def offer(self, make: Callable[[], Snapshot]) -> bool:
        """Take the picture."""
        self.show(make())
        return True

    def show(self, snapshot: Snapshot) -> None:
        """Keep the picture."""
        self.snapshots.append(snapshot)

    def end(self, how: Ending, text: str = "", path: Path | None = None) -> None:
        """Keep the end."""
        self.said.append(("end", (how, text, path)))


def small_snapshot(
    shape: tuple[int, int] = (90, 120), *, ramp: tuple[float, float] = (0.05, -0.3)
) -> Snapshot:
    """Return a picture of an object with a phase ramp, covered but for a rim of 5 pixels."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    phase = 0.4 * np.sin(columns / 9) * np.sin(rows / 7)
    object_ = (1 + 0.2 * np.cos(rows / 5)) * np.exp(
        1j * (phase + ramp[0] * columns + ramp[1] * rows + 0.7)
    )
    coverage = np.zeros(shape, np.float32)
    coverage[5:-5, 5:-5] = 2.0
    rec = Reconstruction(
        object=object_.astype(np.complex64),
        coverage=coverage,
        xcoords=np.array([40.0, 60.0]),
        ycoords=np.array([40.0, 50.0]),
        indices=np.array([0, 1]),
        probe=np.ones((1, 16, 16), np.complex64),
        origin=np.array([-3, 7]),
        pixel_size_m=8e-9,
        name="scan 7",
    )
    measured = np.arange(256.0).reshape(16, 16)
    return Snapshot(
        reconstruction=rec, measured=measured, modelled=measured + 1, pattern="pattern 1"
    )


def ask(
    url: str, path: str, *, method: str = "GET", query: str = "", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """Ask the server of a page; underscores in names of headers stand for hyphens.

    Returns
    -------
    status : int
    headers : dict
    body : bytes
    """
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=600)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        target = f"/{path}?{query}" if query else f"/{path}"
        connection.request(method, target, headers=named)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


@contextmanager
def events(url: str, query: str = "") -> Iterator[Iterator[dict[str, Any]]]:
    """Follow the events of a page, each as a dictionary; they end with the server."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=600)
    connection.request("GET", f"/events?{query or parts.query}")
    answer = connection.getresponse()

    def read() -> Iterator[dict[str, Any]]:
        while line := answer.readline():
            if line.startswith(b"data: "):
                yield json.loads(line[6:])

    try:
        yield read()
    finally:
        connection.close()


def until(condition: Callable[[], bool], seconds: float = 600.0) -> None:
    """Wait until a condition holds.

    Raises
    ------
    TimeoutError
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.05)
