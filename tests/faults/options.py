"""Values of options that nobody means, for every command."""

import click
import numpy as np
from judge import HOSTILE
from ptycho_cli.main import cli

Random = np.random.Generator

#: Larger is only slower, which was asked for.
PATIENT = ("--epochs", "--nepochs", "--refine", "--modes")
VALUES = [
    "-1", "0", "nan", "inf", "-inf", "1e308", "-1e308", "1e-320", str(2**31), str(2**63),
    str(2**64), str(10**30), "9" * 400, "9" * 5000, "", " ", "x", HOSTILE, "0x10", "1_000", "٣",
    "1e3", "true", "--", "-o", "/dev/zero", "/dev/null", "a" * 5000, "../..", "/proc/self/mem",
    "é", "\udcff", "1.5", "010", "1:20", "None", "[1]", "scan.npz", ".", "1e-400", "-0.0",
]  # fmt: skip
CALLS: list[tuple[str, list[str], tuple[str, ...]]] = [
    ("inspect", ["inspect", "scan.npz"], ()),
    ("convert", ["convert", "scan.npz", "out.npz"], ("out.npz",)),
    ("reconstruct", ["reconstruct", "scan.npz", "-o", "out", "--epochs", "1"], ("out",)),
    ("simulate", ["simulate", "-o", "out.npz", "--n-patterns", "4", "--N", "8"], ("out.npz",)),
    ("fixture", ["fixture", "scan.npz", "-o", "out.npz"], ("out.npz", "out.json")),
    ("evaluate", ["evaluate", "scan.npz", "scan.npz"], ()),
    ("config show", ["config", "show", "scan.npz"], ()),
    ("config show", ["config", "show", "scan.npz"], ()),
]


def _command(name: str) -> click.Command:
    command: click.Command = cli
    for part in name.split():
        if not isinstance(command, click.Group):
            break
        found = command.get_command(click.Context(command), part)
        if found is None:
            raise LookupError(name)
        command = found
    return command


def draw(name: str, rng: Random) -> tuple[str, str]:
    """Choose an option of a command that takes a value, and the value."""
    found = [
        max(param.opts, key=len)
        for param in _command(name).params
        if isinstance(param, click.Option) and not param.is_flag
    ]
    found = [opt for opt in found if opt not in PATIENT]
    return found[int(rng.integers(len(found)))], VALUES[int(rng.integers(len(VALUES)))]
