"""How long a new process takes to import each light package, and to answer `ptycho --help`."""

from __future__ import annotations

import argparse
import subprocess
import sys
from functools import partial
from pathlib import Path

from _measure import measure, report

LIGHT = ["ptycho", "ptycho_cli", "ptycho_config", "ptycho_data", "ptycho_physics", "ptycho_tf"]
PROGRAMS = {
    "python alone": "pass",
    **{f"import {name}": f"import {name}" for name in LIGHT},
    "ptycho --help": "import sys; sys.argv = ['ptycho', '--help']; "
    "from ptycho_cli.main import main; main()",
}


def start(program: str) -> None:
    """Run a program in a new interpreter, and see that it ends well."""
    subprocess.run(  # noqa: S603  our own interpreter, the programs above
        [sys.executable, "-c", program], check=True, stdout=subprocess.DEVNULL
    )


def main() -> None:
    """Measure every program and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, help="JSON file for the figures")
    parser.add_argument("--quick", action="store_true", help="one run each: does it still work?")
    options = parser.parse_args()
    warmup, repeats = (0, 1) if options.quick else (2, 15)
    results = {
        label: measure(partial(start, program), warmup=warmup, repeats=repeats)
        for label, program in PROGRAMS.items()
    }
    report("startup", results, options.output)


if __name__ == "__main__":
    main()
