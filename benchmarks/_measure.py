"""What the benchmark programs share: options, timing with medians, the machine, the output."""

from __future__ import annotations

import argparse
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


def parse(description: str | None, **own: int | str) -> argparse.Namespace:
    """Read the options that every program takes, and its own ones with their defaults."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--output", type=Path, help="JSON file for the figures")
    parser.add_argument(
        "--quick", action="store_true", help="smallest sizes, one run: does it still work?"
    )
    parser.add_argument("--threads", type=int, default=1, help="threads of PyTorch [default: 1]")
    for name, default in own.items():
        shown = f"[default: {default or 'none'}]"
        parser.add_argument(f"--{name}", type=type(default), default=default, help=shown)
    return parser.parse_args()


def torch_devices(threads: int) -> list[str]:
    """Give PyTorch this many threads, and return the devices to measure: the CPU, a GPU if any."""
    import torch

    torch.set_num_threads(threads)
    return ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]


def wait_for(device: str) -> Callable[[], object]:
    """Return what waits until a device has done what it was told: a GPU works on its own time."""
    import torch

    return torch.cuda.synchronize if device == "cuda" else lambda: None


def summarise(runs: list[float], **more: object) -> dict[str, Any]:
    """Return the median, the extremes and every run, in seconds, and whatever else belongs."""
    return {
        "median_s": statistics.median(runs),
        "min_s": min(runs),
        "max_s": max(runs),
        "runs_s": runs,
        **more,
    }


def measure(
    action: Callable[[], object],
    *,
    warmup: int,
    repeats: int,
    wait: Callable[[], object] = lambda: None,
) -> dict[str, Any]:
    """Time an action; `wait` ends each run, for a device that works on after the call."""
    for _ in range(warmup):
        action()
    wait()
    runs = []
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        wait()
        runs.append(time.perf_counter() - start)
    return summarise(runs, warmup=warmup)


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
    matter = {"array-api-compat", "h5py", "keras", "lightning", "numpy", "scipy"}
    matter |= {"tensorflow", "tensorflow-cpu", "torch"}
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


def graphics() -> str | None:
    """Return the name of the GPU that PyTorch would use; only for programs that use PyTorch."""
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def report(name: str, results: dict[str, Any], options: argparse.Namespace, **more: object) -> None:
    """Print one line per result, and write all of it, with the machine, as JSON.

    A result is what `measure` or `summarise` returns, with the ``figures`` made of it by name.
    """
    for label, result in results.items():
        figures = [f"{key} {value:.4g}" for key, value in result.get("figures", {}).items()]
        print(f"{name}: {label}: " + ", ".join([f"{result['median_s'] * 1e3:.2f} ms", *figures]))
    if options.output is not None:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        record = {
            "benchmark": name,
            "machine": machine() | more,
            "threads": options.threads,
            "quick": options.quick,
            "results": results,
        }
        options.output.write_text(json.dumps(record, indent=2) + "\n", "utf-8")
