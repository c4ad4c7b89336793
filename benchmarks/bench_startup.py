"""How long a new process takes to import each light package, and to begin its work.

The work is to answer `ptycho --help`, and to reconstruct a scan of eight patterns with an untrained
network as `ptycho infer` does, up to the first patterns on the canvas.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

from _measure import measure, parse, report
from _scans import make_scan
from ptycho_data import save_bundle, save_scan

LIGHT = [
    "ptycho",
    "ptycho_cli",
    "ptycho_config",
    "ptycho_core",
    "ptycho_data",
    "ptycho_physics",
    "ptycho_pretrained",
    "ptycho_tf",
]
PROGRAMS = {
    "python alone": "pass",
    **{f"import {name}": f"import {name}" for name in LIGHT},
    "ptycho --help": "import sys; sys.argv = ['ptycho', '--help']; "
    "from ptycho_cli.main import main; main()",
}

FIRST_PATTERNS = """
import os, sys
from ptycho_torch.reconstructor import Reconstructor
stitch = Reconstructor.stitch
def stop(self, *arguments):
    stitch(self, *arguments)
    os._exit(0)
Reconstructor.stitch = stop
from ptycho_cli.main import main
sys.exit(main(["infer", "{folder}/model.zip", "{folder}/scan.npz", "-o", "{folder}/result"]) or 3)
"""


def write_inputs(folder: Path) -> None:
    """Write a bundle and a scan."""
    from bench_inference import Case, untrained

    scan = make_scan(8, 64)
    save_scan(folder / "scan.npz", scan)
    save_bundle(folder / "model.zip", untrained(scan, Case("unrolled", 64, 1, 8)))


def start(program: str, threads: int) -> None:
    """Run a program in a new interpreter, and see that it ends well."""
    subprocess.run(  # noqa: S603  our own interpreter, the programs above
        [sys.executable, "-c", program],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"OMP_NUM_THREADS": str(threads)},
    )


def main() -> None:
    """Measure every program and report."""
    options = parse(__doc__)
    warmup, repeats = (0, 1) if options.quick else (2, 15)
    with tempfile.TemporaryDirectory() as folder:
        write_inputs(Path(folder))
        first = {"ptycho infer": FIRST_PATTERNS.format(folder=Path(folder).as_posix())}
        results = {
            label: measure(partial(start, program, options.threads), warmup=warmup, repeats=repeats)
            for label, program in (PROGRAMS | first).items()
        }
    report("startup", results, options)


if __name__ == "__main__":
    main()
