"""Tests that every backend must pass; a backend runs them by deriving a class.

A test module of the backend needs three lines::

    from ptycho_core.testing.backend_contract import BackendContract

    class TestContract(BackendContract):
        backend = "pytorch"

The tests go through the registry of backends alone. Importing this module needs pytest.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from attrs import evolve
from ptycho_config import (
    InferenceConfig,
    InvalidValueError,
    ModelConfig,
    PyTorchExecutionConfig,
    TrainingConfig,
)
from ptycho_data import Bundle, OutputExistsError, Scan, load_bundle
from ptycho_physics import extract_patches

from ptycho_core.backends import Backend, require
from ptycho_core.results import TrainingResult
from ptycho_core.testing import simulated_scan

__all__ = ["BackendContract"]

SCAN = simulated_scan()


def _execution(**changes: Any) -> PyTorchExecutionConfig:
    settings: dict[str, Any] = {"learning_rate": 2e-3, "logger_backend": "none"}
    return PyTorchExecutionConfig(**settings | changes)


def _same_weights(first: TrainingResult, second: TrainingResult) -> bool:
    one, two = (load_bundle(result.bundle_path).weights for result in (first, second))
    return one.keys() == two.keys() and all(np.array_equal(one[name], two[name]) for name in one)


def _correlation(found: np.ndarray, scan: Scan, truth: Any) -> float:
    """Return the correlation of illuminated patches with those of the truth, 1 where equal."""
    probe_power = (np.abs(scan.probe) ** 2).sum(axis=0)
    true = extract_patches(truth, scan.positions, scan.N)
    inner = (found.conj() * true * probe_power).sum()
    norms = ((np.abs(a) ** 2 * probe_power).sum() for a in (found, true))
    return float(np.abs(inner) / np.sqrt(np.prod(list(norms))))


class BackendContract:
    """Tests that every backend passes; a derived class names the backend."""

    backend: ClassVar[str]
    #: The network of the tests that ask for no particular one; a backend may name a smaller one.
    architecture: ClassVar[str] = "cnn"

    @pytest.fixture
    def door(self) -> Backend:
        """Return the backend under test."""
        return require(self.backend)

    @pytest.fixture
    def config(self) -> Callable[..., TrainingConfig]:
        """Make training configurations of the smallest networks."""

        def make(model: dict[str, Any] | None = None, **changes: Any) -> TrainingConfig:
            small: dict[str, Any] = {"architecture": self.architecture, "n_filters_scale": 1}
            small |= model or {}
            settings: dict[str, Any] = {"nepochs": 1, "n_groups": 16, "batch_size": 8} | changes
            return TrainingConfig(model=ModelConfig(**small), backend=self.backend, **settings)

        return make

    @pytest.fixture
    def train(self, door: Backend, tmp_path: Path) -> Callable[..., TrainingResult]:
        """Train in a folder of the test: ``model``, unless ``output`` names another one."""

        def call(
            scans: Any, config: TrainingConfig, *, output: str = "model", **more: Any
        ) -> TrainingResult:
            execution = more.pop("execution", _execution())
            return door.train(scans, config, execution, output=tmp_path / output, **more)

        return call

    @pytest.fixture
    def reconstruct(self, door: Backend) -> Callable[..., Any]:
        """Reconstruct a scan with a bundle."""

        def call(bundle: Bundle, scan: Scan, **settings: Any) -> Any:
            config = InferenceConfig(backend=self.backend, **settings)
            return door.reconstruct(bundle, scan, config, _execution(), progress=None)

        return call

    @pytest.mark.slow
    def test_training_lowers_the_loss_and_its_bundle_reconstructs_the_object(
        self, train: Any, config: Any, reconstruct: Any
    ) -> None:
        """A bundle loads, reaches a correlation of 0.9, and neither dose nor units matter."""
        made = train(SCAN, config({"architecture": "unrolled"}, nepochs=2, n_groups=48))
        loss = made.history["train_loss"]
        assert loss[-1] < loss[0]
        bundle = load_bundle(made.bundle_path)
        assert bundle.backend == self.backend
        assert bundle.history["train_loss"] == loss
        rec = reconstruct(bundle, SCAN).reconstruction
        np.testing.assert_array_equal(rec.indices, np.arange(SCAN.n))
        np.testing.assert_allclose(rec.positions + rec.origin, SCAN.positions)
        patches = extract_patches(rec.object, rec.positions.astype(np.float32), SCAN.N)
        assert _correlation(patches, SCAN, SCAN.object_guess) > 0.9
        bright = evolve(SCAN, diffraction=4 * np.asarray(SCAN.diffraction))
        amplitude = np.sqrt(SCAN.diffraction).astype(np.float32)
        photons = SCAN.mean_photons()
        amplitudes = evolve(SCAN, diffraction=amplitude, domain="amplitude", nphotons=photons)
        for other in (bright, amplitudes):
            again = reconstruct(bundle, other).reconstruction
            np.testing.assert_allclose(again.object, rec.object, atol=0.03)

    @pytest.mark.parametrize("gridsize", [1, 2])
    def test_same_seed_same_weights(self, train: Any, config: Any, gridsize: int) -> None:
        """Equal seeds give equal bits, and other seeds other ones."""
        runs = [
            train(SCAN, config({"gridsize": gridsize}, seed=seed), output=name)
            for name, seed in (("a", 0), ("b", 0), ("c", 1))
        ]
        assert _same_weights(runs[0], runs[1])
        assert not _same_weights(runs[0], runs[2])
        stored = load_bundle(runs[0].bundle_path).config["model"]["gridsize"]
        assert stored == gridsize

    def test_resumed_training_ends_as_an_unbroken_one(self, train: Any, config: Any) -> None:
        """Two epochs at once, and one after the other, give the same weights and losses."""
        steady = _execution(scheduler="ReduceLROnPlateau")  # its rate does not depend on nepochs
        whole = train(SCAN, config(nepochs=2), output="whole", execution=steady)
        train(SCAN, config(), execution=steady)
        resumed = train(SCAN, config(nepochs=2), resume=True, execution=steady)
        assert resumed.history == whole.history
        assert _same_weights(resumed, whole)
        again = train(SCAN, config(nepochs=2), resume=True, execution=steady)
        assert (again.epochs, again.written) == (2, False)
        with pytest.raises(InvalidValueError) as refused:
            train(SCAN, config({"n_filters_scale": 2}, nepochs=3), resume=True, execution=steady)
        assert refused.value.name.endswith(": n_filters_scale")  # after the file

    def test_a_bundle_is_kept_unless_overwriting_is_asked_for(
        self, train: Any, config: Any
    ) -> None:
        """A second training in a folder needs ``overwrite``, and a first one cannot resume."""
        with pytest.raises(FileNotFoundError):
            train(SCAN, config(), resume=True)
        path = train(SCAN, config()).bundle_path
        before = path.read_bytes()
        with pytest.raises(OutputExistsError):
            train(SCAN, config(seed=1))
        assert path.read_bytes() == before
        train(SCAN, config(seed=1), overwrite=True)
        assert path.read_bytes() != before

    @pytest.mark.parametrize(
        "weight", ["nll_weight", "mae_weight", "realspace_weight", "realspace_mae_weight"]
    )
    def test_each_loss_weight_brings_its_term(self, train: Any, config: Any, weight: str) -> None:
        """With one weight alone, its term is the loss."""
        history = train(SCAN, config(**{"nll_weight": 0.0, weight: 0.5})).history
        term = f"train_{weight.removesuffix('_weight')}"
        assert {name for name in history if name.startswith("train_")} == {"train_loss", term}
        assert history["train_loss"] == history[term]

    def test_a_trained_probe_is_kept_in_the_bundle(self, train: Any, config: Any) -> None:
        """The probe of the bundle moves where it is trained, and keeps its norm."""
        given = SCAN.probe / np.linalg.norm(SCAN.probe)
        for trainable in (False, True):
            made = train(SCAN, config(probe_trainable=trainable), output=str(trainable))
            probe = load_bundle(made.bundle_path).probe
            assert np.linalg.norm(probe) == pytest.approx(1, rel=1e-4)
            assert (np.abs(probe - given).max() > 1e-5) is np.bool_(trainable)

    @pytest.mark.parametrize(
        ("name", "model", "settings", "execution"),
        [
            ("architecture", {"architecture": "nonsense"}, {}, {}),
            ("checkpoint_monitor_metric", {}, {}, {"checkpoint_monitor_metric": "val_accuracy"}),
        ],
    )
    def test_what_cannot_work_is_refused_by_name_before_any_work(
        self, train: Any, config: Any, tmp_path: Path, name: str, model: Any, settings: Any,
        execution: Any,
    ) -> None:  # fmt: skip
        """The error names the setting, and no file is written."""
        with pytest.raises(InvalidValueError) as refused:
            train(SCAN, config(model, **settings), execution=_execution(**execution))
        assert refused.value.name == name
        assert not list(tmp_path.rglob("*.*"))

    def test_a_device_that_is_not_here_is_refused_before_any_work(
        self, door: Backend, config: Any
    ) -> None:
        """The error names the device, for trainings and for reconstructions."""
        execution = _execution(accelerator="tpu")
        with pytest.raises(InvalidValueError) as training:
            door.check_training(config(), execution)
        with pytest.raises(InvalidValueError) as reconstruction:
            door.check_inference(InferenceConfig(backend=self.backend), execution)
        assert "'tpu'" in training.value.got
        assert "'tpu'" in reconstruction.value.got

    def test_declared_features_work_and_others_are_refused(
        self, door: Backend, train: Any, config: Any
    ) -> None:
        """Several scans and moving positions train where declared, and are refused elsewhere."""
        moving = config(positions_trainable=True)
        cases = [
            (door.several_scans, [SCAN, simulated_scan(seed=5)], config(), "scans"),
            (door.moving_positions, SCAN, moving, "positions_trainable"),
        ]
        for declared, scans, settings, name in cases:
            if declared:
                made = train(scans, settings, output=name)
                assert np.isfinite(made.history["train_loss"]).all()
                continue
            number = len(scans) if isinstance(scans, list) else 1
            with pytest.raises(InvalidValueError) as refused:
                door.check_training(settings, _execution(), number)
            assert refused.value.name == name
