"""Streams: frames per second without loss, their latency, and what the time goes to.

A replay in a process of its own sends a scan as fast as it can, in each protocol; the stream
receives it, joins frames and positions and reconstructs with an untrained network, which costs what
a trained one does. `--rate N` sends N frames a second instead, for the latency at that rate. Times
are CPU seconds where they are called so, which other processes on the machine do not change much.
"""

from __future__ import annotations

import logging
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import bitshuffle
import numpy as np
from _measure import parse, report, summarise
from _scans import PHOTONS, make_scan
from ptycho_config import Layer, ModelConfig, TrainingConfig
from ptycho_core.preparing.recipe import Recipe
from ptycho_core.streaming import Rules, StreamAddress, StreamRun
from ptycho_data import Bundle, Scan, save_scan
from ptycho_data.streams._decode import decompressed
from ptycho_data.streams.replay import PROTOCOLS, replaying
from ptycho_torch.bundles import bundle_of
from ptycho_torch.model import PtychoModel

#: Compressed frames are of this size, and sent at this rate if no other is given: at once.
DECODED, AT_ONCE = 256, 1e5


def untrained(scan: Scan) -> Bundle:
    """Return the bundle of a network with its initial weights."""
    import torch

    torch.manual_seed(0)
    model = ModelConfig(N=scan.N)
    return bundle_of(
        PtychoModel(model, scan.probe),
        TrainingConfig(model=model, backend="pytorch"),
        photons=PHOTONS,
        domain="counts",
        history={},
        overrides_applied={},
    )


def decoding(repeats: int) -> dict[str, Any]:
    """Time the decompression of frames 256 x 256 of 16 bits, bitshuffle and LZ4."""
    frame = np.random.default_rng(0).poisson(3, (DECODED, DECODED)).astype(np.uint16)
    header = frame.nbytes.to_bytes(8, "big") + (8192).to_bytes(4, "big")
    data = header + bitshuffle.compress_lz4(frame, 4096).tobytes()
    runs = []
    for _ in range(repeats):
        start = time.thread_time()
        for _ in range(100):
            decompressed("bslz4", data, frame.shape, frame.dtype)
        runs.append((time.thread_time() - start) / 100)
    rate = 1 / float(np.median(runs))
    return summarise(runs, figures={"frames per CPU second": rate})


def stream(protocol: str, scan: Scan, rate: float, folder: Path) -> dict[str, Any]:
    """Receive one replay, and reconstruct it."""
    path, output = folder / "scan.npz", folder / "out"
    save_scan(path, scan)
    where = ("--where", str(folder)) if protocol in ("hdf5", "folder") else ()
    with replaying(path, protocol, rate, *where) as replay:
        told = replay.told
        os.environ.update(told.get("environment", {}))
        given = {**told.get("names", {}), **{k: told[k] for k in ("unit",) if k in told}}
        run = StreamRun(
            layers=[Layer("override", {"accelerator": "cpu"})],
            model=untrained(scan),
            address=StreamAddress(source=told["source"], positions=told.get("positions")),
            output=output,
            recipe=Recipe(**given),
            rules=Rules(expected=told["expected"], idle=60.0),
            queue=100_000,
            pictures=False,
        )
        run.check()
        result = run.run()
    told, seconds = result.report, result.processor_s
    total = sum(seconds.values())
    figures = {
        "frames": told.patterns,
        "lost": told.missing,
        "frames/s": told.patterns_per_second,
        "frames per CPU second": told.patterns / total,
        "latency median s": told.latency_s or 0.0,
        "latency 99 % s": told.latency_99_s or 0.0,
        **{f"CPU % {name}": 100 * value / total for name, value in seconds.items()},
    }
    return summarise([1 / told.patterns_per_second], figures=figures)


def main() -> None:
    """Measure and report."""
    options = parse(__doc__, rate=0, frames=2000)
    logging.disable(logging.WARNING)
    import torch

    torch.set_num_threads(options.threads)
    results = {"decode 256 x 256": decoding(2 if options.quick else 20)}
    cases = [("dectris", 64)] if options.quick else [(p, N) for N in (64, 128) for p in PROTOCOLS]
    number = 80 if options.quick else options.frames
    rate = float(options.rate or AT_ONCE)
    for protocol, N in cases:
        scan = make_scan(number if N == 64 else max(80, number // 4), N)
        with tempfile.TemporaryDirectory() as folder:
            results[f"{protocol}, N={N}"] = stream(protocol, scan, rate, Path(folder))
    report("stream", results, options)


if __name__ == "__main__":
    main()
