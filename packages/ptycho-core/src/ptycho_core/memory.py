"""How much memory a command needs: one estimate for each, measured on what it depends on.

An estimate is made from few numbers, before anything large is allocated: the program with its
libraries, and bytes per pixel, pattern and weight. ``docs/limits.md`` has the formulas beside the
measured peaks.
"""

import math
from collections.abc import Sequence

import numpy as np
from attrs import frozen
from ptycho_config import ModelConfig, PyTorchExecutionConfig, TrainingConfig
from ptycho_config.errors import InvalidValueError
from ptycho_data import Bundle, Scan
from ptycho_physics.memory import free_memory, object_memory

__all__ = [
    "Estimate",
    "of_inference",
    "of_simulation",
    "of_solver",
    "of_training",
]

MIB = 2**20
#: Estimates are within this factor of what is measured: more than that is certainly too much.
SURE = 1.5
#: The program: Python with its numerical libraries, drawing, and each framework.
PROGRAM = 75 * MIB
PICTURES = 75 * MIB
FRAMEWORK = {"pytorch": 400 * MIB, "tensorflow": 750 * MIB}
#: What a framework takes in addition to train.
TRAINER = {"pytorch": 100 * MIB, "tensorflow": 150 * MIB}

#: Reading and judging a scan: per pattern, and per pixel of the patterns that are sampled.
PER_PATTERN = 900
PER_SAMPLED_PIXEL = 24
SAMPLED = 64

#: The solver: counts, fields of a batch (per mode), object with gradients and weights;
#: velocity of the object, the object before, and the one that is made of both.
SOLVER_COUNTS = 4
SOLVER_BATCH = 60
SOLVER_OBJECT = 60
SOLVER_MOMENTUM = 24

#: Simulation: counts as floats and integers, fields of the patterns in work, object.
SIMULATED_COUNTS = 6
SIMULATED_FIELDS = 40
SIMULATED_TOGETHER = 64
SIMULATED_OBJECT = 40

#: Networks: bytes per pixel of a batch for each unit of ``n_filters_scale``, training and not.
TRAINED_PIXEL = {"guided": 550, "unrolled": 750, "cnn": 1250}
INFERRED_PIXEL = {"guided": 250, "unrolled": 250, "cnn": 250}
#: A weight in training: itself, its gradient, and two averages of the optimiser, in float32.
PER_TRAINED_WEIGHT = 16
#: Patterns of 64 pixels in a step of inference where no size is given: see the backends.
STEP = 32


@frozen
class Estimate:
    """Bytes that a command is going to need, by what needs them."""

    parts: dict[str, float]

    @property
    def total(self) -> float:
        """All of them."""
        return float(sum(self.parts.values()))

    def lines(self) -> list[str]:
        """Say in words what is needed and what is free."""
        parts = ", ".join(f"{name} {_size(value)}" for name, value in self.parts.items())
        free = free_memory()
        fits = "" if self.total <= free else "; this is more than is free"
        return [f"memory: about {_size(self.total)} ({parts}), {_size(free)} are free{fits}"]

    def require(self, name: str, advice: str) -> None:
        """Refuse what needs more than is free.

        Raises
        ------
        InvalidValueError
            With the name of what is too large, and what to do.
        """
        free = free_memory()
        if self.total > SURE * free:
            got = f"{_size(self.total)} where {_size(free)} are free"
            raise InvalidValueError(name, "small enough for the memory", got, advice)


def _size(value: float) -> str:
    unit, name = (2**30, "GiB") if value >= 2**30 else (MIB, "MiB")
    return f"{value / unit:.3g} {name}" if math.isfinite(value) else "an unknown amount"


def _checks(scan: Scan) -> float:
    """Bytes for the checks of a scan, which every run begins with."""
    return PER_PATTERN * scan.n + PER_SAMPLED_PIXEL * min(scan.n, SAMPLED) * scan.N**2


def of_solver(
    scan: Scan,
    *,
    batch_size: int = 16,
    modes: int | None = None,
    backend: str = "numpy",
    levels: int = 1,
    border: int = 0,
    points: int = 1,
    momentum: bool = False,
    sampling: int = 1,
) -> Estimate:
    """Return the memory of ``ptycho reconstruct``, which holds the counts of all patterns.

    ``levels`` is the number of slices, ``border`` the width that is added to near-field patterns,
    ``points`` the number of points on the path of an exposure, ``momentum`` whether the object has
    any, ``sampling`` the number of the waves' pixels along a side of one of a coarse detector.
    """
    pixel = SOLVER_OBJECT + momentum * SOLVER_MOMENTUM
    N = sampling * scan.N + 2 * border
    fields = min(batch_size, scan.n) * max(modes or 1, len(scan.probe)) * points
    return Estimate(
        {
            "program": FRAMEWORK.get(backend, PROGRAM + PICTURES),
            "checks": _checks(scan),
            "counts": SOLVER_COUNTS * scan.n * (scan.N**2 + (N**2 if border else 0)),
            "batch": SOLVER_BATCH * fields * N**2 * (1 + levels) / 2,
            "object": object_memory(scan.positions, N) * levels * pixel / 140,
        }
    )


def of_simulation(n: int, N: int, shape: tuple[int, int]) -> Estimate:
    """Return the memory of ``ptycho simulate`` for n patterns of N pixels over an object."""
    return Estimate(
        {
            "program": PROGRAM,
            "counts": SIMULATED_COUNTS * n * N**2,
            "fields": SIMULATED_FIELDS * min(n, SIMULATED_TOGETHER) * N**2,
            "object": SIMULATED_OBJECT * math.prod(shape),
        }
    )


def of_inference(
    bundle: Bundle, scan: Scan, execution: PyTorchExecutionConfig, backend: str
) -> Estimate:
    """Return the memory of ``ptycho infer`` on a CPU: the object, and one step of the network."""
    model = bundle.training_config.model
    usual = max(1, int(STEP * 64 / scan.N) // model.gridsize**2)
    size = min(execution.inference_batch_size or usual, scan.n)
    weights = sum(int(np.size(values)) for values in bundle.weights.values())
    pixel = INFERRED_PIXEL.get(model.architecture, max(INFERRED_PIXEL.values()))
    return Estimate(
        {
            "program": FRAMEWORK.get(backend, max(FRAMEWORK.values())),
            "checks": _checks(scan),
            "weights": 8 * weights,
            "batch": pixel * model.n_filters_scale * size * model.gridsize**2 * scan.N**2,
            "object": object_memory(scan.positions, scan.N),
        }
    )


def of_training(scans: Sequence[Scan], config: TrainingConfig) -> Estimate:
    """Return the memory of ``ptycho train`` on a CPU: one batch with its gradients, and weights.

    The patterns of the scans stay on disk.
    """
    model = config.model
    largest = max(scan.n for scan in scans)
    size = min(config.batch_size * model.gridsize**2, largest)
    pixel = TRAINED_PIXEL.get(model.architecture, max(TRAINED_PIXEL.values()))
    return Estimate(
        {
            "program": FRAMEWORK.get(config.backend, max(FRAMEWORK.values()))
            + TRAINER.get(config.backend, max(TRAINER.values())),
            "checks": sum(map(_checks, scans)),
            "weights": PER_TRAINED_WEIGHT * _weights(model),
            "batch": pixel * model.n_filters_scale * size * model.N**2,
        }
    )


def _weights(model: ModelConfig) -> float:
    """Return about how many weights a network has: those of `cnn` grow with its levels."""
    count = {"guided": 2.5e5, "unrolled": 3.7e5}.get(
        model.architecture, 2.3e6 * (model.N / 64) ** 2
    )
    return count * (model.n_filters_scale / 2) ** 2
