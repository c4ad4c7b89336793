"""Scans, and a backend without a framework, that the tests of several packages share."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from attrs import define, evolve, field, frozen
from numpy.typing import NDArray
from ptycho_config import InvalidValueError, ModelConfig, to_dict
from ptycho_data import (
    BUNDLE_NAME,
    MODEL_SET,
    Bundle,
    Domain,
    Reconstruction,
    Scan,
    result_set,
    save_bundle,
    scan_from_arrays,
)
from ptycho_physics import Canvas, defocused_probe, random_cells, simulate_counts, snake_scan, solve

from ptycho_core import backends
from ptycho_core.backends import Backend
from ptycho_core.fine_tuning import check_start
from ptycho_core.networks import NetworkTraits
from ptycho_core.results import InferenceResult, TrainingInterrupted, TrainingResult
from ptycho_core.solving.call import reconstruction_of

__all__ = [
    "FakeBackend",
    "FakeLive",
    "random_scan",
    "reconstruction_at",
    "registered",
    "scan_on_raster",
    "simulated_scan",
]

PHOTONS = 1e5


def simulated_scan(
    number: int = 48,
    *,
    shape: tuple[int, int] = (120, 124),
    radius: tuple[float, float] = (6, 14),
    seed: int = 2,
) -> Scan:
    """Return a small scan of 64 x 64 counts with its ground truth.

    Parameters
    ----------
    number
        Number of patterns.
    shape, radius
        Size of the object, and least and largest radius of its cells, in pixels.
    seed
        Seed of the object; those of positions and noise follow from it.
    """
    truth = random_cells(shape, radius=radius, seed=seed)
    positions = snake_scan(truth.shape, 64, number=number, jitter=0.4, seed=seed - 1)
    probe = defocused_probe(64)
    return Scan(
        diffraction=simulate_counts(truth, probe, positions, PHOTONS, seed=seed + 1),
        xcoords=positions[:, 0],
        ycoords=positions[:, 1],
        probe=probe,
        domain="counts",
        object_guess=truth,
    )


def scan_on_raster(
    diffraction: NDArray[Any],
    *,
    step: float = 2.0,
    domain: Domain = "counts",
    nphotons: float | None = None,
) -> Scan:
    """Return a scan of given patterns (n, N, N) on a square raster, with a disc as its probe."""
    n, N = len(diffraction), diffraction.shape[-1]
    yy, xx = np.mgrid[:N, :N] - N // 2
    probe = ((xx**2 + yy**2) < (N / 4) ** 2).astype(np.complex64)
    side = int(np.ceil(np.sqrt(n)))
    index = np.arange(n)
    return Scan(
        diffraction=diffraction,
        xcoords=step * (index % side),
        ycoords=step * (index // side),
        probe=probe,
        domain=domain,
        nphotons=nphotons,
    )


def reconstruction_at(
    object_: NDArray[Any], positions: NDArray[Any], pixel_size_m: float | None = None
) -> Reconstruction:
    """Return a reconstruction of a given object, covered everywhere, from given patch centres."""
    return Reconstruction(
        object=object_,
        coverage=np.ones(object_.shape),
        xcoords=positions[:, 0],
        ycoords=positions[:, 1],
        indices=np.arange(len(positions)),
        probe=np.ones((1, 32, 32), np.complex64),
        origin=np.zeros(2, int),
        pixel_size_m=pixel_size_m,
    )


def random_scan(n: int = 12, N: int = 8) -> Scan:
    """Return a valid scan of random numbers, for tests without physics."""
    rng = np.random.default_rng(3)
    return scan_from_arrays(
        {
            "diffraction": rng.poisson(40, (n, N, N)).astype(np.uint16),
            "xcoords": rng.uniform(10, 60, n),
            "ycoords": rng.uniform(10, 50, n),
            "probeGuess": np.exp(1j * rng.normal(size=(2, N, N))).astype(np.complex64),
            "domain": np.array("counts"),
        }
    )


@frozen(kw_only=True, eq=False)
class FakeBackend(Backend):
    """A backend whose network is the iterative solver, for tests without a framework.

    Attributes
    ----------
    history
        Losses that a training reports.
    interrupted
        Whether a training ends as after Ctrl-C, with its bundle written.
    early
        Whether a training ends by early stopping.
    finished
        Whether a resumed training is already complete.
    trainings, reconstructions
        Arguments of every call, by name.
    """

    package: str = "ptycho_core"
    framework: str = "math"
    several_scans: bool = True
    several_devices: bool = True
    live_reconstruction: bool = True
    history: dict[str, list[float]] = field(
        factory=lambda: {"train_loss": [2.0, 1.0], "val_loss": [3.0, 1.5]}
    )
    interrupted: bool = False
    early: bool = False
    finished: bool = False
    trainings: list[dict[str, Any]] = field(factory=list)
    reconstructions: list[dict[str, Any]] = field(factory=list)

    def check_training(self, config: Any, execution: Any, scans: int = 1) -> None:
        """Refuse every network but ``cnn`` and ``unrolled``."""
        del execution, scans
        known = ("cnn", "unrolled")
        if config.model.architecture not in known:
            name = config.model.architecture
            raise InvalidValueError("architecture", f"one of {', '.join(known)}", repr(name))

    def check_inference(self, config: Any, execution: Any) -> None:
        """Refuse a TPU."""
        del config
        if execution.accelerator == "tpu":
            raise InvalidValueError("accelerator", "one of this machine", "'tpu'")

    def check_start(self, start: Bundle, model: ModelConfig) -> None:
        """Refuse a model of another network."""
        check_start(start, model, NetworkTraits)

    def recommended_rate(self, model: ModelConfig) -> float:
        """Return the rates of the real networks."""
        return 1e-3 if model.architecture == "cnn" else 2e-3

    def devices(self) -> list[str]:
        """Return the CPU."""
        return ["cpu"]

    def train(self, scans: Any, config: Any, execution: Any, **more: Any) -> TrainingResult:
        """Write a bundle with a meaningless weight."""
        self.trainings.append({"scans": scans, "config": config, "execution": execution, **more})
        first = scans if isinstance(scans, Scan) else scans[0]
        bundle = Bundle(
            config=to_dict(config),
            overrides_applied=dict(more["overrides_applied"] or {}),
            scaling={"probe_given": more["probe"] is not None},
            probe=first.probe,
            weights={"layer.weight": np.ones((2, 3), np.float32)},
            history=self.history,
            backend=self.name,
            versions={},
            start={"name": more["start_name"], **more["start"].identity} if "start" in more else {},
        )
        folder, finish = Path(more["output"]), more.get("finish")
        result = TrainingResult(
            bundle_path=folder / BUNDLE_NAME,
            history=self.history,
            seconds=0.5,
            epochs=len(self.history["train_loss"]),
            stopped="interrupted" if self.interrupted else "plateau" if self.early else "epochs",
            written=not (self.finished and more["resume"]),
        )
        if result.written:
            with result_set(folder, MODEL_SET, overwrite=more["overwrite"]) as place:
                save_bundle(place / BUNDLE_NAME, bundle)
                if finish is not None:
                    finish(place, result)
        if self.interrupted:
            raise TrainingInterrupted(result)
        return result

    def reconstruct(
        self, bundle: Bundle, scan: Scan, config: Any, execution: Any, **more: Any
    ) -> InferenceResult:
        """Reconstruct with two epochs of the solver."""
        call = {"bundle": bundle, "scan": scan, "config": config, "execution": execution, **more}
        self.reconstructions.append(call)
        solution = solve(
            scan.counts(nphotons=1.0), scan.positions, scan.probe, epochs=2, mask=scan.bad_pixels
        )
        more["progress"](scan.n, scan.n)
        return InferenceResult(
            reconstruction=reconstruction_of(solution, scan),
            r_factor=solution.r_factors[-1],
            timings={"stitch": 0.1},
            patterns_per_second=600.0,
            backend=self.name,
        )

    def live(self, bundle: Bundle, **arguments: Any) -> "FakeLive":
        """Return an object that is solved when it is asked for."""
        self.reconstructions.append({"bundle": bundle, **arguments})
        return FakeLive(probe=arguments["probe"], bad_pixels=arguments["bad_pixels"])


@define(kw_only=True, eq=False)
class FakeLive:
    """A growing object whose network is the iterative solver, for tests without a framework."""

    probe: NDArray[np.complex64]
    bad_pixels: NDArray[np.bool_] | None = None
    group_size: int = 1
    groups_per_step: int = 16
    joint: bool = False
    batches: list[tuple[NDArray[Any], NDArray[np.float64]]] = field(factory=list)

    @property
    def count(self) -> int:
        """Number of patterns so far."""
        return sum(len(places) for _, places in self.batches)

    @property
    def canvas(self) -> Canvas:
        """Where the object lies."""
        places = np.concatenate([places for _, places in self.batches])
        return Canvas.covering(places, self.probe.shape[-1])

    @property
    def object(self) -> NDArray[Any]:
        """The object so far."""
        return self.result().object

    @property
    def coverage(self) -> NDArray[Any]:
        """Its summed weight."""
        return self.result().coverage

    def add(self, patterns: Any, positions: Any) -> None:
        """Keep patterns; negative ones are refused, as by a network."""
        counts, places = np.asarray(patterns), np.asarray(positions, float)
        if not (counts >= 0).all() or not np.isfinite(places).all():
            raise InvalidValueError("patterns", "counts >= 0 and finite", "others")
        self.batches.append((counts, places))

    def result(self, **known: Any) -> Reconstruction:
        """Solve what has come so far, with two epochs."""
        counts, places = (np.concatenate(part) for part in zip(*self.batches, strict=True))
        scan = Scan(diffraction=counts, xcoords=places[:, 0], ycoords=places[:, 1],
                    probe=self.probe, domain="counts")  # fmt: skip
        solution = solve(
            scan.counts(nphotons=1.0), places, self.probe, epochs=2, mask=self.bad_pixels
        )
        return evolve(reconstruction_of(solution, scan), **known)


@contextmanager
def registered(backend: Backend) -> Iterator[Backend]:
    """Register a backend within the block, replacing one of the same name."""
    before = backends._REGISTERED.get(backend.name)
    backends.register(backend)
    try:
        yield backend
    finally:
        del backends._REGISTERED[backend.name]
        if before is not None:
            backends.register(before)
