"""The live page: what it costs the run that is shown, also with viewers that hang.

The solver on 1000 patterns of 64 x 64 pixels, without a page, with one, and with one that eight
viewers look at who take nothing of what they asked for; the runs take turns. Then what a run says
most often, and a picture. CPU time of the process of the run, all of its threads included.
"""

from __future__ import annotations

import socket
import statistics
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from _measure import parse, report, summarise
from _scans import make_scan
from ptycho_core.live_page import Publisher, live_page, parse_address
from ptycho_core.solving.run import SolverRun
from ptycho_core.testing.live_page import ask, small_snapshot, until
from ptycho_data import Scan

EPOCHS, RUNS = 40, 5
VIEWERS = 8
CALLS = 20_000


def hanging(url: str, path: str) -> socket.socket:
    """Return a viewer who asks, and takes nothing."""
    parts = urlsplit(url)
    viewer = socket.create_connection((parts.hostname, parts.port))
    viewer.sendall(f"GET /{path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    return viewer


def solved(scan: Scan, page: Publisher, epochs: int) -> float:
    """Return the CPU seconds of an epoch."""
    run = SolverRun(scan=scan, settings={"epochs": epochs}).on(page)
    began = time.process_time()
    run.run()
    return (time.process_time() - began) / epochs


def opened(stack: ExitStack, viewers: int) -> Publisher:
    """Open a page with a picture, and viewers who hang, half of them for pictures."""
    page = stack.enter_context(live_page(parse_address("0")))
    page.begin("bench", scan="before")
    page.show(small_snapshot((400, 400)))
    until(lambda: answers(page.url))
    for number in range(viewers):
        viewer = hanging(page.url, "object" if number % 2 else "events")
        stack.callback(viewer.close)
    return page


def answers(url: str) -> bool:
    """Tell whether a page has a picture."""
    try:
        return ask(url, "object")[0] == 200
    except OSError:
        return False


def memory(page: Any) -> float:
    """Resident memory of the server, MiB; NaN elsewhere than on Linux."""
    try:
        status = Path(f"/proc/{page._process.pid}/status").read_text("utf-8")
    except OSError:
        return float("nan")
    lines = dict(line.split(":", 1) for line in status.splitlines())
    return int(lines["VmRSS"].split()[0]) / 1024


def runs(scan: Scan, epochs: int, repetitions: int) -> dict[str, Any]:
    """Measure the solver with and without a page."""
    variants = {"no page": None, "a page": 0, f"a page, {VIEWERS} viewers hang": VIEWERS}
    found: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(repetitions):
        for name, viewers in variants.items():
            with ExitStack() as stack:
                page = Publisher() if viewers is None else opened(stack, viewers)
                found[name].append(solved(scan, page, epochs))
    plain = statistics.median(found["no page"])
    return {
        f"{scan.n} of {scan.N} x {scan.N}, {name}, an epoch": summarise(
            times, figures={"times no page": statistics.median(times) / plain}
        )
        for name, times in found.items()
    }


def calls(number: int) -> dict[str, Any]:
    """Measure what is said after every batch, and a picture, while viewers hang."""
    with ExitStack() as stack:
        page = opened(stack, VIEWERS)
        before = memory(page)
        began = time.process_time()
        for count in range(number):
            page.progress(count, number, "batches")
            page.now(rate=count)
        said = (time.process_time() - began) / number
        snapshot, shown = small_snapshot((1000, 1000)), []
        for _ in range(max(3, number // 1000)):
            began = time.process_time()
            page.show(snapshot)
            shown.append(time.process_time() - began)
            time.sleep(0.05)
        time.sleep(1)
        grown = memory(page) - before
    return {
        "progress and values, a batch": summarise([said]),
        "a picture of 1000 x 1000 pixels": summarise(
            shown, figures={"MiB that the server has grown by": grown}
        ),
    }


def main() -> None:
    """Measure and report."""
    options = parse(__doc__)
    scan = make_scan(60 if options.quick else 1000, 64)
    epochs, repetitions = (2, 1) if options.quick else (EPOCHS, RUNS)
    results = runs(scan, epochs, repetitions) | calls(200 if options.quick else CALLS)
    report("live_page", results, options, epochs=epochs)


if __name__ == "__main__":
    main()
