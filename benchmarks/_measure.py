"""What the benchmark programs share: timing with warm-up and medians, the machine, the output."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import distributions
from pathlib import Path
from typing import Any


def measure(action: Callable[[], object], *, warmup: int, repeats: int) -> dict[str, Any]:
    """Time an action; return the median, the extremes and every run, in seconds."""
    for _ in range(warmup):
        action()
    runs = []
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        runs.append(time.perf_counter() - start)
    return {
        "median_s": statistics.median(runs),
        "min_s": min(runs),
        "max_s": max(runs),
        "runs_s": runs,
        "warmup": warmup,
    }


def processor() -> str:
    """Return the processor's name, or what Python knows of it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def machine() -> dict[str, Any]:
    """Describe where a figure was taken: processor, system, Python, versions of what matters."""
    matter = {"array-api-compat", "h5py", "lightning", "numpy", "scipy", "torch"}
    found = {d.name.lower(): d.version for d in distributions()}
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": {
            name: found[name] for name in sorted(found) if name in matter or "ptycho" in name
        },
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def report(name: str, results: dict[str, Any], output: Path | None) -> None:
    """Print one line per result, and write all of it, with the machine, as JSON."""
    for label, result in results.items():
        print(f"{name}: {label}: {result['median_s'] * 1e3:.1f} ms")
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        record = {"benchmark": name, "machine": machine(), "results": results}
        output.write_text(json.dumps(record, indent=2) + "\n", "utf-8")
