"""What half precision would cost the solver: waves on the detector rounded as a GPU would.

    python benchmarks/half_precision.py DATA_FOLDER [--epochs 10]

DATA_FOLDER holds ``run1084.npz`` (see `real_data.py`), whose counts are simulated. Exit waves and
waves on the detector are rounded to float16, the format of half-precision FFTs, or to bfloat16,
with the rest in single precision: less than a GPU would round. Scores are correlations with the
true object over the scanned rectangle.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen
from ptycho_physics import simulate_counts, solve
from ptycho_physics.solver import _optics
from ptycho_physics.solver._propagator import FarField
from real_solver import correlation, run1084

Rounding = Callable[[np.ndarray], np.ndarray]


def as_float16(waves: np.ndarray) -> np.ndarray:
    """Round to the nearest float16; amplitudes are brought to order one first, as one would."""
    scale = np.float32(1 / max(float(np.abs(waves).max()), 1e-30))
    parts = (waves * scale).astype(np.complex64).view(np.float32)
    return parts.astype(np.float16).astype(np.float32).view(np.complex64) / scale


def as_bfloat16(waves: np.ndarray) -> np.ndarray:
    """Round to the nearest bfloat16, the upper half of a float32."""
    bits = waves.astype(np.complex64).view(np.uint32)
    return ((bits + 0x8000) & 0xFFFF0000).astype(np.uint32).view(np.complex64)


@frozen
class Rounded(FarField):
    """The far field with rounded waves."""

    rounding: Rounding

    def forward(self, patches: Any, probe: Any, xp: Any) -> tuple[Any, None]:
        """As `FarField.forward`."""
        fields, _ = super().forward(patches, probe, xp)
        return self.rounding(fields), None

    def backward(self, change: Any, *more: Any, **options: Any) -> Any:
        """As `FarField.backward`."""
        return super().backward(self.rounding(change), *more, **options)


def main() -> None:
    """Solve with each rounding, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--epochs", type=int, default=10)
    arguments = parser.parse_args()
    data = run1084(arguments.data)
    plain = _optics.propagator_of
    print("| photons | float32 | float16 | bfloat16 |\n|---|---|---|---|")
    for photons in (1e6, 1e4):
        counts = simulate_counts(data.truth, data.probe, data.positions, photons, seed=0)
        cells = []
        for rounding in (None, as_float16, as_bfloat16):
            if rounding is not None:
                _optics.propagator_of = lambda *_, r=rounding, **__: Rounded(r)
            solution = solve(counts, data.positions, data.probe, epochs=arguments.epochs)
            _optics.propagator_of = plain
            score = correlation(solution, data, ramp=False)
            cells.append(f"{score:.5f}, {solution.r_factors[-1]:.4f}")
        print(f"| {photons:.0e} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
