"""PyTorch and TensorFlow beside each other: the same training and the same reconstruction.

Each backend works in a process of its own, one after the other, so that one does not warm up for
the other and each has a peak of memory of its own.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from _measure import parse, report, summarise
from _scans import make_scan

PACKAGES = {"pytorch": "ptycho_torch", "tensorflow": "ptycho_tf"}
FRAMEWORKS = {"pytorch": "torch", "tensorflow": "tensorflow"}
ARCHITECTURES = ("unrolled", "cnn")


class EpochTimes(logging.Handler):
    """Notes when the log tells the end of an epoch, and the CPU seconds until then."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.times: list[tuple[float, float]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Note the time if this is about an epoch."""
        if record.getMessage().startswith("epoch "):
            self.times.append((time.perf_counter(), time.process_time()))


def peak_mib() -> float:
    """Largest resident memory of this process so far."""
    import resource

    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def work(backend: str, architecture: str, n: int, epochs: int, threads: int) -> dict[str, Any]:
    """Train and reconstruct in this process; return the figures."""
    from ptycho_config import InferenceConfig, ModelConfig, PyTorchExecutionConfig, TrainingConfig
    from ptycho_data import load_bundle

    scan = make_scan(n, 64)
    before = time.process_time()
    package = PACKAGES[backend]
    if backend == "pytorch":
        import_module("torch").set_num_threads(threads)
    train = import_module(f"{package}.training").train
    reconstruct = import_module(f"{package}.reconstruction").reconstruct
    loaded = time.process_time() - before
    handler = EpochTimes()
    log = logging.getLogger("ptycho_core.progress.training")
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    with tempfile.TemporaryDirectory() as folder:
        config = TrainingConfig(
            model=ModelConfig(architecture=architecture),
            backend=backend,
            nepochs=epochs,
        )
        execution = PyTorchExecutionConfig(
            accelerator="cpu",
            gradient_clip_val=1.0,  # as the command
            logger_backend="none",
            enable_progress_bar=False,
        )
        begin = time.process_time()
        train(scan, config, execution, output=Path(folder))
        bundle = load_bundle(folder)
    asked = InferenceConfig(backend=backend)
    reconstruct(bundle, scan, asked, execution)  # once to start up
    cpu = time.process_time()
    result = reconstruct(bundle, scan, asked, execution)
    cpu = time.process_time() - cpu
    wall = [b[0] - a[0] for a, b in zip(handler.times, handler.times[1:], strict=False)]
    used = [b[1] - a[1] for a, b in zip(handler.times, handler.times[1:], strict=False)]
    return {
        "epochs_s": wall,
        "CPU s per epoch": sorted(used)[len(used) // 2],
        "CPU s to load": loaded,
        "CPU s until the first epoch ended": handler.times[0][1] - begin,
        "patterns per second, reconstructing": result.patterns_per_second,
        "CPU s to reconstruct": cpu,
        "peak MiB": peak_mib(),
    }


def measured(backend: str, architecture: str, n: int, epochs: int, threads: int) -> dict[str, Any]:
    """Let a new process do the work."""
    counts = {f"TF_NUM_{kind}OP_THREADS": str(threads) for kind in ("INTRA", "INTER")}
    arguments = [backend, architecture, str(n), str(epochs), str(threads)]
    done = subprocess.run(  # noqa: S603  this program
        [sys.executable, __file__, "--work", *arguments],
        env={**os.environ, **counts, "OMP_NUM_THREADS": str(threads)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    figures = json.loads(done.stdout.splitlines()[-1])
    return summarise(figures.pop("epochs_s"), figures=figures)


def main() -> None:
    """Measure the backends that are installed and report."""
    options = parse(__doc__)
    backends = [backend for backend, module in FRAMEWORKS.items() if find_spec(module)]
    n, epochs = (12, 2) if options.quick else (128, 4)
    results = {
        f"{backend}, {architecture}, epoch of {n} patterns": measured(
            backend, architecture, n, epochs, options.threads
        )
        for architecture in (("cnn",) if options.quick else ARCHITECTURES)
        for backend in backends
    }
    report("backends", results, options)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        name, network, *numbers = sys.argv[2:]
        print(json.dumps(work(name, network, *map(int, numbers))))
    else:
        main()
