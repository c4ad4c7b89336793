"""Scans larger than memory: what `ptycho train` and `ptycho infer` hold, and their time.

Two scan files differ in nothing but their length: 2000 and 200 000 patterns of 64 x 64 uint16
pixels (16 MB and 1.6 GB), on a raster of steps of 6.4 pixels. Each command runs on each file in a
process of its own: training on the first 20 000 patterns for one epoch (10 epochs of the short
scan, which are as many steps), a reconstruction from all patterns. The network is a single 1 x 1
convolution, which costs next to nothing: what is measured is everything around it, and a real
network only hides it.

Three peaks of the process come from the kernel (Linux only): resident memory (``VmHWM``: all of
it, pages of mapped files included), its anonymous part (``RssAnon``: what was allocated) and its
mapped files (``RssFile``). Time per pattern is that of the stages of the command's own run.json,
in CPU seconds: the file was just written and is in the page cache, so nothing waits for a disk.
"""

from __future__ import annotations

import contextlib
import io
import json
import multiprocessing
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from _measure import parse, report, summarise
from _memory import Peaks
from _networks import tiny_network
from ptycho_data import Scan, save_scan
from ptycho_physics import defocused_probe, random_cells, simulate_counts

N, STEP, PHOTONS = 64, 6.4, 1e6
SIZES, QUICK_SIZES = (2000, 200_000), (64, 128)
TRAINED = 20_000
DIFFERENT = 2000  # patterns are simulated, and repeated beyond that
TRAINING = [
    *("--architecture", "tiny", "--logger-backend", "none", "--early-stop-patience", 1000),
    "--sequential-sampling",  # neighbours, in either scan: batches are as wide
]


def write_scan(path: Path, n: int) -> None:
    """Write a scan of n patterns without ever holding all of them."""
    probe = np.asarray(defocused_probe(N), dtype=np.complex64)
    different = min(n, DIFFERENT)
    truth = random_cells((N + 300, N + 300), radius=(6, 16), seed=0)
    rng = np.random.default_rng(0)
    places = rng.uniform(N // 2, N // 2 + 300, (different, 2))
    counts = simulate_counts(truth, probe, places, PHOTONS, seed=0).astype(np.uint16)
    side = int(np.ceil(np.sqrt(n)))
    rows, columns = np.divmod(np.arange(n), side)
    stack = np.lib.format.open_memmap(
        path.with_suffix(".npy"), "w+", dtype=np.uint16, shape=(n, N, N)
    )
    for start in range(0, n, different):
        stack[start : start + different] = counts[: n - start]
    scan = Scan(
        diffraction=stack,
        xcoords=STEP * columns + N,
        ycoords=STEP * rows + N,
        probe=probe,
        domain="counts",
    )
    save_scan(path, scan)
    path.with_suffix(".npy").unlink()


def call(*words: object) -> None:
    """Run a command line of `ptycho` in this process."""
    from ptycho_cli.main import main as ptycho

    with contextlib.redirect_stdout(io.StringIO()):
        code = ptycho([str(word) for word in (*words, "-q", "--accelerator", "cpu")])
    if code != 0:
        sys.exit(f"ptycho {' '.join(map(str, words))}: exit code {code}")


def run(command: str, scan: Path, folder: Path, n: int, steps: int, threads: int) -> dict[str, Any]:
    """Run one command here, after a little of it for warm-up; return its figures."""
    import torch

    torch.set_num_threads(threads)
    tiny_network()
    patterns = min(n, steps) if command == "train" else n
    words: list[object] = ["infer", folder / "train", scan]
    if command == "train":
        words = ["train", scan, *TRAINING, "--nepochs", steps // patterns]
    call(*words, "--n-groups", 64, "-o", folder / f"little {command}")
    peaks, start = Peaks(), time.perf_counter()
    with patch.object(time, "perf_counter", time.process_time):
        call(*words, "--n-groups", patterns, "-o", folder / command)
    seconds = time.perf_counter() - start
    record = json.loads((folder / command / "run.json").read_text("utf-8"))
    stages = record["timings_s"] | record.get("backend_timings_s", {})
    work = stages["reconstruct"] if command == "infer" else stages["train"] * patterns / steps
    figures = {
        "us per pattern": work / patterns * 1e6,
        "us per pattern to read": stages["read"] / n * 1e6,
        **peaks.figures(),
    }
    return summarise([seconds], stages_s=stages, figures=figures)


def run_apart(*arguments: Any) -> dict[str, Any]:
    """Do the same in a process of its own: the memory of another shall not matter."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(run, *arguments).result()


def compare(results: dict[str, Any], command: str, small: int, large: int) -> None:
    """Add to the figures of the long scan what they are beside those of the short one."""
    base, figures = (results[f"{command}, {n} patterns"]["figures"] for n in (small, large))
    figures["time per pattern, ratio"] = figures["us per pattern"] / base["us per pattern"]
    for name in ("at peak", "allocated"):
        if f"MiB {name}" in base:
            figures[f"MiB more {name}"] = figures[f"MiB {name}"] - base[f"MiB {name}"]


def main() -> None:
    """Measure both commands on both scans and report."""
    options = parse(__doc__)
    sizes = QUICK_SIZES if options.quick else SIZES
    # The tests call with --quick, in a process that has PyTorch already.
    start = run if options.quick else run_apart
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        for n in sizes:
            folder = Path(name) / str(n)
            scan = folder / "scan.npz"
            folder.mkdir()
            write_scan(scan, n)
            for command in ("train", "infer"):
                found = start(command, scan, folder, n, min(sizes[-1], TRAINED), options.threads)
                results[f"{command}, {n} patterns"] = found
            scan.unlink()
    for command in ("train", "infer"):
        compare(results, command, *sizes)
    report("large", results, options)


if __name__ == "__main__":
    main()
