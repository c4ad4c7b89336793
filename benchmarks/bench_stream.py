"""Streams: frames per second without loss, their latency, and what the time goes to.

A replay in a process of its own sends a scan as fast as it can, in each protocol; the stream
receives it, joins frames and positions and reconstructs. Each protocol is received with a network
that costs next to nothing: what is measured is everything but the network. Then DECTRIS frames go
through real networks, untrained ones, which cost what trained ones do, and the universal one.
`--rate N` sends N frames a second instead, for the latency at that rate; `--only` takes cases by
parts of their names, such as `pva` or `unrolled, N=64`. The last lines are a table in Markdown.

Times are CPU seconds where they are called so, which other processes on the machine do not change
much. `frames per core` is what one core sustains: the process of the stream, receiving thread and
network together.
"""

from __future__ import annotations

import logging
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import bitshuffle
import numpy as np
from _measure import parse, report, summarise
from _networks import tiny_network
from _scans import PHOTONS, make_scan
from ptycho_config import Layer, ModelConfig, TrainingConfig
from ptycho_core.models import load_model
from ptycho_core.preparing.recipe import Recipe
from ptycho_core.streaming import Rules, StreamAddress, StreamRun
from ptycho_data import Bundle, Scan, save_scan
from ptycho_data.streams._decode import decompressed
from ptycho_data.streams.replay import PROTOCOLS, replaying
from ptycho_torch import Reconstructor
from ptycho_torch.bundles import bundle_of
from ptycho_torch.model import PtychoModel

#: Compressed frames are of this size, and sent at this rate if no other is given: at once.
DECODED, AT_ONCE = 256, 1e5
#: Networks behind a detector; the number behind the stroke is the width, 2 without one.
NETWORKS = ("unrolled", "unrolled/1", "cnn", "universal")


def network(name: str, scan: Scan) -> Bundle:
    """Return the universal network, or an architecture, with / and its width, untrained."""
    import torch

    if name == "universal":
        return load_model(name, described=False)[0]
    architecture, _, width = name.partition("/")
    torch.manual_seed(0)
    model = ModelConfig(N=scan.N, architecture=architecture, n_filters_scale=int(width or 2))
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


@contextmanager
def shares() -> Iterator[dict[str, float]]:
    """Count the CPU seconds of the main thread by what `Reconstructor` does in them."""
    spent: dict[str, float] = defaultdict(float)

    def timed(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **more: Any) -> Any:
            before = time.thread_time()
            try:
                return method(*arguments, **more)
            finally:
                spent[name] += time.thread_time() - before

        return call

    parts = {"estimate": "_estimate", "network": "predict", "stitch": "stitch"}
    with ExitStack() as patched:
        for name, method in parts.items():
            original = getattr(Reconstructor, method)
            patched.enter_context(patch.object(Reconstructor, method, timed(name, original)))
        yield spent


def stream(protocol: str, name: str, scan: Scan, rate: float, folder: Path) -> dict[str, Any]:
    """Receive one replay, and reconstruct it."""
    path, output = folder / "scan.npz", folder / "out"
    save_scan(path, scan)
    where = ("--where", str(folder)) if protocol in ("hdf5", "folder") else ()
    with replaying(path, protocol, rate, *where) as replay, shares() as spent:
        told = replay.told
        os.environ.update(told.get("environment", {}))
        given = {**told.get("names", {}), **{k: told[k] for k in ("unit",) if k in told}}
        run = StreamRun(
            layers=[Layer("override", {"accelerator": "cpu"})],
            model=network(name, scan),
            address=StreamAddress(source=told["source"], positions=told.get("positions")),
            output=output,
            recipe=Recipe(**given),
            rules=Rules(expected=told["expected"], idle=60.0),
            queue=100_000,
            pictures=False,
            report=False,
        )
        run.check()
        result = run.run()
    told, seconds = result.report, result.processor_s
    total = sum(seconds.values())
    known = {name: spent[name] for name in ("estimate", "network", "stitch") if spent[name]}
    rest = seconds.pop("reconstruct") - sum(known.values())
    figures = {
        "frames": told.patterns,
        "lost": told.missing,
        "frames/s": told.patterns_per_second,
        "frames per core": told.patterns / total,
        "latency median s": told.latency_s or 0.0,
        "latency 99 % s": told.latency_99_s or 0.0,
        **{
            f"CPU % {part}": 100 * value / total
            for part, value in {**seconds, **known, "rest": rest}.items()
        },
    }
    return summarise([1 / told.patterns_per_second], figures=figures)


def cases(quick: bool) -> list[tuple[str, str, int]]:
    """Return protocol, network and N of all cases."""
    if quick:
        return [("dectris", "tiny", 64), ("dectris", "unrolled", 64)]
    around = [(protocol, "tiny", N) for N in (64, 128) for protocol in PROTOCOLS]
    real = [("dectris", name, 64) for name in NETWORKS]
    real += [("dectris", name, 128) for name in NETWORKS if name != "universal"]  # which is of 64
    return around + real


def table(results: dict[str, Any]) -> str:
    """Write what people ask for first as a table in Markdown."""
    columns = {
        "lost": "lost",
        "frames/s": "frames/s",
        "frames/s of one core": "frames per core",
        "latency / s": "latency median s",
        "99 % / s": "latency 99 % s",
    }
    shares = ("read", "prepare", "keep", "estimate", "network", "stitch", "rest")
    heads = ["case", *columns, *(f"{share} %" for share in shares)]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for label, result in results.items():
        found = result["figures"]
        cells = [
            f"{found[name]:{'.0f' if found[name] > 99 else '.3g'}}" for name in columns.values()
        ]
        cells += [f"{found.get(f'CPU % {share}', 0):.1f}" for share in shares]
        lines.append("| " + " | ".join([label, *cells]) + " |")
    return "\n".join(lines)


def main() -> None:
    """Measure and report."""
    options = parse(__doc__, rate=0, frames=2000, only="")
    logging.disable(logging.WARNING)
    import torch

    torch.set_num_threads(options.threads)
    tiny_network()
    results = {"decode 256 x 256": decoding(2 if options.quick else 20)}
    rate = float(options.rate or AT_ONCE)
    for protocol, name, N in cases(options.quick):
        label = f"{protocol}, {name}, N={N}"
        if options.only not in label:
            continue
        fewer = (1 if N == 64 else 4) * (1 if name == "tiny" else 4)
        scan = make_scan(80 if options.quick else max(80, options.frames // fewer), N)
        with tempfile.TemporaryDirectory() as folder:
            results[label] = stream(protocol, name, scan, rate, Path(folder))
    report("stream", results, options)
    del results["decode 256 x 256"]
    print(table(results))


if __name__ == "__main__":
    main()
