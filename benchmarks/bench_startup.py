"""How long a new process takes to import each light package, and to answer `ptycho --help`."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial

from _measure import measure, parse, report

LIGHT = ["ptycho", "ptycho_cli", "ptycho_config", "ptycho_data", "ptycho_physics", "ptycho_tf"]
PROGRAMS = {
    "python alone": "pass",
    **{f"import {name}": f"import {name}" for name in LIGHT},
    "ptycho --help": "import sys; sys.argv = ['ptycho', '--help']; "
    "from ptycho_cli.main import main; main()",
}


def start(program: str, threads: int) -> None:
    """Run a program in a new interpreter, and see that it ends well."""
    subprocess.run(  # noqa: S603  our own interpreter, the programs above
        [sys.executable, "-c", program],
        check=True,
        stdout=subprocess.DEVNULL,
        env=os.environ | {"OMP_NUM_THREADS": str(threads)},
    )


def main() -> None:
    """Measure every program and report."""
    options = parse(__doc__)
    warmup, repeats = (0, 1) if options.quick else (2, 15)
    results = {
        label: measure(partial(start, program, options.threads), warmup=warmup, repeats=repeats)
        for label, program in PROGRAMS.items()
    }
    report("startup", results, options)


if __name__ == "__main__":
    main()
