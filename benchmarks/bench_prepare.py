"""Files of a detector of any size: speed of ``ptycho prepare`` against plain reading, and memory.

A file of frames 512 x 512 uint32, compressed by bitshuffle and LZ4 where the package hdf5plugin is
installed (as Dectris detectors write them), else by gzip, is made on the fly. Its frames are read
once by h5py, chunk after chunk, and once by `ptycho_core.preparing.preparation`, which cuts out
256 x 256 pixels and writes them as a scan. `BENCH_FRAMES` sets how many there are; 100 000 are 100
GB without compression. Times are CPU seconds; the ratios are stated for CPU and wall time.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from _measure import parse, report, summarise
from _memory import Peaks
from ptycho_core.preparing.preparation import prepare
from ptycho_core.preparing.recipe import Recipe
from ptycho_core.preparing.writing import write_prepared

SIDE, DIFFERENT, BLOCK = 512, 64, 32
FRAMES, QUICK_FRAMES = 4000, 48


def compression() -> tuple[str, dict[str, Any]]:
    """Return the name of the best compression at hand, and the arguments of h5py for it."""
    try:
        import hdf5plugin
    except ImportError:
        return "gzip", {"compression": "gzip", "compression_opts": 1}
    return "bitshuffle-lz4", dict(hdf5plugin.Bitshuffle())


def write_frames(path: Path, n: int) -> str:
    """Write n frames of a disk of light with noise, one chunk each; repeated after some."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    radius = np.hypot(y - SIDE // 2 - 3, x - SIDE // 2 + 5)
    light = 40.0 * (radius < 50) + 2 * np.exp(-radius / 40)
    frames = rng.poisson(light, (min(n, DIFFERENT), SIDE, SIDE)).astype(np.uint32)
    frames[:, :, 300:304] = 2**32 - 1
    name, how = compression()
    with h5py.File(path, "w") as file:
        data = file.create_dataset(
            "data", (n, SIDE, SIDE), np.uint32, chunks=(1, SIDE, SIDE), **how
        )
        data[: len(frames)] = frames
        chunks = [data.id.read_direct_chunk((k, 0, 0))[1] for k in range(len(frames))]
        for index in range(len(frames), n):  # compressed already
            data.id.write_direct_chunk((index, 0, 0), chunks[index % len(frames)])
        side = int(np.ceil(np.sqrt(n)))
        rows, columns = np.divmod(np.arange(n), side)
        file["x"], file["y"] = columns * 0.1, rows * 0.1
    return name


def seconds() -> np.ndarray:
    """CPU time of all threads, and wall time."""
    return np.array([time.process_time(), time.perf_counter()])


def read_plainly(path: Path) -> np.ndarray:
    """Read all frames by h5py, chunk by chunk; returns CPU and wall seconds."""
    start = seconds()
    with h5py.File(path) as file:
        data = file["data"]
        for index in range(len(data)):
            data[index]
    return seconds() - start


def main() -> None:
    """Measure, and write a report."""
    options = parse(__doc__)
    n = QUICK_FRAMES if options.quick else int(os.environ.get("BENCH_FRAMES", FRAMES))
    recipe = Recipe(
        patterns="data",
        x="x",
        y="y",
        unit="um",
        energy="9keV",
        distance="2m",
        detector_pixel="75um",
        size=256,
    )
    with tempfile.TemporaryDirectory() as folder:
        path, out = Path(folder) / "frames.h5", Path(folder) / "scan.npz"
        name = write_frames(path, n)
        plain = read_plainly(path)
        peaks = Peaks()
        start = seconds()
        prepared = prepare([path], recipe)
        looked = seconds() - start
        write_prepared(prepared, out)
        taken = seconds() - start
        stored = path.stat().st_size / 2**20
        figures = {
            "times plain reading, CPU": taken[0] / plain[0],
            "times plain reading, wall": taken[1] / plain[1],
            "looked at before, CPU s": looked[0],
        }
        results = {
            f"h5py reads {n} frames, {name}": summarise([plain[0]], figures={"MiB stored": stored}),
            f"prepare makes {n} patterns": summarise([taken[0]], figures=figures | peaks.figures()),
        }
    report("prepare", results, options)


if __name__ == "__main__":
    main()
