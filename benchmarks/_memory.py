"""Peaks of the memory of this process, as the kernel counts it; Linux only."""

from __future__ import annotations

import threading
from pathlib import Path

STATUS = Path("/proc/self/status")
FORGET_PEAK = Path("/proc/self/clear_refs")  # "5" resets the peak


def _mib(*names: str) -> list[float]:
    lines = dict(line.split(":", 1) for line in STATUS.read_text("utf-8").splitlines())
    return [int(lines[name].split()[0]) / 1024 for name in names]


class Peaks:
    """Watches this process from here until `figures`; elsewhere than on Linux there are none.

    The kernel keeps the peak of resident memory (``VmHWM``), pages of mapped files included. Its
    two parts, what was allocated (``RssAnon``) and pages of files (``RssFile``), are looked at
    every 10 ms.
    """

    def __init__(self) -> None:
        self.known = FORGET_PEAK.exists()
        if not self.known:
            return
        self._done = threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)
        FORGET_PEAK.write_text("5", "ascii")
        (self.start,) = _mib("VmRSS")
        self.anonymous, self.files = _mib("RssAnon", "RssFile")
        self._watch.start()

    def _look(self) -> None:
        while not self._done.wait(0.01):
            anonymous, files = _mib("RssAnon", "RssFile")
            self.anonymous, self.files = max(self.anonymous, anonymous), max(self.files, files)

    def figures(self) -> dict[str, float]:
        """Stop watching; return peaks: all of it, its parts, and what came on top of the start."""
        if not self.known:
            return {}
        self._done.set()
        self._watch.join()
        (peak,) = _mib("VmHWM")
        return {
            "MiB at peak": peak,
            "MiB allocated": self.anonymous,
            "MiB of files": self.files,
            "MiB added": peak - self.start,
        }
