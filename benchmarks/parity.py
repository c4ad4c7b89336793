"""The physics in every library: how far values and gradients are off the reference.

    python benchmarks/parity.py

Prints a table in Markdown, one row per function, one column per library that is installed. A cell
is the largest deviation relative to the largest reference value, of the values and, after the
slash, of the gradients with respect to real amplitude and phase; in single and in double precision.
NumPy in double precision is the reference of the values, finite differences of it that of the
gradients. The exit code is 1 if a deviation is beyond its tolerance. With `--output` the figures
are written as JSON, with the machine.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from _measure import machine
from ptycho_physics.testing import CASES, TOLERANCE, Deviation, deviation

Array = Any


class NumPy:
    """The reference itself, and its single precision."""

    namespace = "array_api_compat.numpy"

    def __init__(self) -> None:
        self.xp = importlib.import_module(self.namespace)

    def array(self, values: np.ndarray) -> Array:
        """Make an array of the library."""
        return self.xp.asarray(values)

    def numpy(self, values: Array) -> np.ndarray:
        """Make a NumPy array of it."""
        return np.asarray(values)

    def call(self, function: Callable[..., Array], *arguments: Array) -> Array:
        """Call a function as it is."""
        return function(*arguments)

    def gradient(self, *_: Any) -> tuple[Array, ...] | None:
        """Return None: no gradients here."""
        return None


class Strict(NumPy):
    """What the array API standard says, and not a function more."""

    namespace = "array_api_strict"


class Torch(NumPy):
    """PyTorch, eager, as it trains."""

    namespace = "array_api_compat.torch"

    def array(self, values: np.ndarray) -> Array:
        """Make a tensor of a copy, which may be written to."""
        return self.xp.asarray(values.copy())

    def numpy(self, values: Array) -> np.ndarray:
        """Make a NumPy array, without the graph."""
        return values.detach().numpy()

    def gradient(self, function: Callable[..., Array], *arguments: Array) -> tuple[Array, ...]:
        """Differentiate backwards."""
        leaves = [argument.requires_grad_() for argument in arguments]
        function(*leaves).backward()
        return tuple(leaf.grad for leaf in leaves)


class Jax(NumPy):
    """JAX, compiled."""

    namespace = "jax.numpy"

    def __init__(self) -> None:
        super().__init__()
        self.jax = importlib.import_module("jax")
        self.jax.config.update("jax_enable_x64", True)

    def call(self, function: Callable[..., Array], *arguments: Array) -> Array:
        """Compile and call."""
        return self.jax.jit(function)(*arguments)

    def gradient(self, function: Callable[..., Array], *arguments: Array) -> tuple[Array, ...]:
        """Differentiate and compile."""
        return self.call(self.jax.grad(function, argnums=(0, 1)), *arguments)


class TensorFlow(NumPy):
    """TensorFlow in a graph, by the namespace of ptycho-tf."""

    namespace = "ptycho_tf.namespace"

    def __init__(self) -> None:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        # every case is a graph of its own, which TensorFlow advises against
        logging.getLogger("tensorflow").setLevel(logging.ERROR)
        super().__init__()

    def call(self, function: Callable[..., Array], *arguments: Array) -> Array:
        """Trace and call."""
        return self.xp.tf.function(function)(*arguments)

    def gradient(self, function: Callable[..., Array], *arguments: Array) -> tuple[Array, ...]:
        """Record on a tape, in a graph."""

        def differentiate(*leaves: Array) -> tuple[Array, ...]:
            with self.xp.tf.GradientTape() as tape:
                tape.watch(leaves)
                result = function(*leaves)
            return tape.gradient(result, leaves)

        return self.call(differentiate, *arguments)


LIBRARIES: dict[str, tuple[type[NumPy], str]] = {
    "NumPy": (NumPy, "numpy"),
    "PyTorch": (Torch, "torch"),
    "TensorFlow": (TensorFlow, "tensorflow"),
    "JAX": (Jax, "jax"),
    "array-api-strict": (Strict, "array_api_strict"),
}


def cell(found: dict[str, Deviation]) -> str:
    """Write the deviations of one function in one library."""
    return "; ".join(
        f"{d.value:.0e}" + ("" if d.gradient is None else f" / {d.gradient:.0e}")
        for d in found.values()
    )


def within(found: dict[str, Deviation]) -> bool:
    """Tell whether all deviations are allowed; what is not a number is not."""
    return all(
        d.value <= TOLERANCE[p] and (d.gradient is None or d.gradient <= TOLERANCE[p])
        for p, d in found.items()
    )


def main() -> None:
    """Measure every function in every library, print the table, judge it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, help="JSON file for the figures")
    parser.add_argument("--only", help="libraries, separated by commas [default: installed ones]")
    options = parser.parse_args()
    wanted = options.only.split(",") if options.only else list(LIBRARIES)
    if unknown := set(wanted) - set(LIBRARIES):
        parser.error(f"--only: {', '.join(LIBRARIES)} are known, found {', '.join(unknown)}")
    present = [n for n in wanted if options.only or importlib.util.find_spec(LIBRARIES[n][1])]
    libraries = {name: LIBRARIES[name][0]() for name in present}
    print("| function |", " | ".join(libraries), "|")
    print("|---" * (len(libraries) + 1) + "|")
    results: dict[str, dict[str, dict[str, Deviation]]] = {}
    for case in CASES:
        results[case] = {
            name: {p: deviation(case, library, p) for p in TOLERANCE}
            for name, library in libraries.items()
        }
        print(f"| {case} |", " | ".join(cell(found) for found in results[case].values()), "|")
    bounds = ", ".join(f"{bound:.1e} in {precision}" for precision, bound in TOLERANCE.items())
    wrong = [f"{c} in {n}" for c, row in results.items() for n, f in row.items() if not within(f)]
    print(f"\nTolerance {bounds}: " + (f"exceeded by {', '.join(wrong)}" if wrong else "kept"))
    if options.output is not None:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        record = {"machine": machine(), "tolerance": TOLERANCE, "results": results}
        options.output.write_text(json.dumps(record, indent=2, default=vars_of) + "\n", "utf-8")
    sys.exit(bool(wrong))


def vars_of(found: Deviation) -> dict[str, float | None]:
    """Return a deviation as JSON has it."""
    return {"value": found.value, "gradient": found.gradient}


if __name__ == "__main__":
    main()
