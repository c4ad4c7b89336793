"""Tests that every backend must pass; a backend runs them by deriving a class.

A test module of the backend needs three lines::

    from ptycho_core.bundles import LOG_SCALE, NETWORK
from ptycho_core.testing.backend_contract import BackendContract

    class TestContract(BackendContract):
        backend = "pytorch"

The tests go through the registry of backends alone. Importing this module needs pytest and pyte.
"""

import csv
import importlib.util
import inspect
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from attrs import evolve
from ptycho_config import (
    InferenceConfig,
    InvalidValueError,
    MissingPackageError,
    ModelConfig,
    PyTorchExecutionConfig,
    TrainingConfig,
)
from ptycho_data import Bundle, OutputExistsError, Scan, load_bundle
from ptycho_physics import DivergenceError, extract_patches

from ptycho_core.backends import Backend, require
from ptycho_core.bundles import LOG_SCALE, NETWORK
from ptycho_core.results import TrainingResult
from ptycho_core.testing import simulated_scan
from ptycho_core.testing.live_page import RecordingPage
from ptycho_core.testing.terminal import logged_terminal

__all__ = ["BackendContract"]

SCAN = simulated_scan()


def _execution(**changes: Any) -> PyTorchExecutionConfig:
    settings: dict[str, Any] = {"learning_rate": 2e-3, "logger_backend": "none"}
    return PyTorchExecutionConfig(**settings | changes)


def _same_weights(first: TrainingResult, second: TrainingResult) -> bool:
    one, two = (load_bundle(result.bundle_path).weights for result in (first, second))
    return one.keys() == two.keys() and all(np.array_equal(one[name], two[name]) for name in one)


def _flip(path: Path) -> None:
    """Change one bit of a checkpoint, in the middle of its largest array."""
    with zipfile.ZipFile(path) as archive:
        largest = max(archive.infolist(), key=lambda member: member.file_size)
    content = bytearray(path.read_bytes())
    content[largest.header_offset + largest.file_size // 2] ^= 1
    path.write_bytes(content)


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
    #: The same as another process imports it, from the folder of the test module.
    importable: ClassVar[str] = "cnn"

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
        made = train(SCAN, config({"architecture": "unrolled"}, nepochs=4, n_groups=48))
        assert made.epochs == 4
        names = {"learning_rate", "train_loss", "train_nll", "val_loss", "val_nll"}
        assert set(made.history) == names
        loss, validation = made.history["train_loss"], made.history["val_loss"]
        assert loss[-1] < 0.8 * loss[0]
        assert validation[-1] < validation[0]
        bundle = load_bundle(made.bundle_path)
        assert bundle.backend == self.backend
        assert bundle.config["model"]["architecture"] == "unrolled"
        assert bundle.history == made.history
        photons = bundle.scaling["photons"]
        assert photons == pytest.approx(SCAN.mean_photons(), rel=0.05)
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

    def test_a_network_from_an_estimate_of_the_scan_is_as_good_at_once(
        self, train: Any, config: Any, reconstruct: Any
    ) -> None:
        """The untrained network `guided` improves the few epochs of the solver it starts from."""
        model = {"architecture": "guided", "joint_stages": True}
        made = train(SCAN, config(model), execution=_execution(learning_rate=1e-12))
        rec = reconstruct(load_bundle(made.bundle_path), SCAN).reconstruction
        patches = extract_patches(rec.object, rec.positions.astype(np.float32), SCAN.N)
        assert _correlation(patches, SCAN, SCAN.object_guess) > 0.9

    def test_the_object_does_not_depend_on_the_batches_of_inference(
        self, door: Backend, train: Any, config: Any
    ) -> None:
        """A batch is only how patterns are read: the same object to rounding."""
        bundle = load_bundle(train(SCAN, config()).bundle_path)
        objects = [
            door.reconstruct(
                bundle,
                SCAN,
                InferenceConfig(backend=self.backend),
                PyTorchExecutionConfig(inference_batch_size=size),
            ).reconstruction.object
            for size in (None, 1, 7, 64)
        ]
        scale = np.abs(objects[0]).max()
        for other in objects[1:]:
            np.testing.assert_allclose(other, objects[0], rtol=0, atol=1e-4 * scale)

    def test_same_seed_same_weights(self, train: Any, config: Any) -> None:
        """Equal seeds give equal bits, and other seeds other ones."""
        runs = [
            train(SCAN, config({"gridsize": 2}, seed=seed), output=name)
            for name, seed in (("a", 0), ("b", 0), ("c", 1))
        ]
        assert _same_weights(runs[0], runs[1])
        assert not _same_weights(runs[0], runs[2])
        stored = load_bundle(runs[0].bundle_path).config["model"]["gridsize"]
        assert stored == 2

    def test_a_live_page_shows_every_epoch_and_changes_nothing(
        self, train: Any, config: Any
    ) -> None:
        """What the network makes of the scan is shown, by numbers of its own."""
        page = RecordingPage()
        settings = config(nepochs=2)
        plain = train(SCAN, settings, output="plain")
        shown = train(SCAN, settings, output="shown", page=page)
        assert _same_weights(plain, shown)
        losses = [point for point in page.of("point") if "train_loss" in point]
        assert [point["epoch"] for point in losses] == [1, 2]
        assert [point["train_loss"] for point in losses] == plain.history["train_loss"]
        assert len([point for point in page.of("point") if "r_over_noise" in point]) == 2
        assert page.of("progress")[-1] == (2, 2, "epochs")
        assert [snapshot.pattern for snapshot in page.snapshots] == ["pattern 0", "pattern 1"]
        for snapshot in page.snapshots:
            assert snapshot.modelled is not None
            assert snapshot.modelled.sum() > 0
        first, second = (snapshot.reconstruction.object for snapshot in page.snapshots)
        assert not np.array_equal(first, second)

    def test_resumed_training_ends_as_an_unbroken_one(self, train: Any, config: Any) -> None:
        """Two epochs at once, and one after the other, give the same weights, losses and table."""
        # The rate of this schedule does not depend on nepochs.
        steady = _execution(scheduler="ReduceLROnPlateau", logger_backend="csv")
        whole = train(SCAN, config(nepochs=2), output="whole", execution=steady)
        train(SCAN, config(), execution=steady)
        resumed = train(SCAN, config(nepochs=2), resume=True, execution=steady)
        assert resumed.history == whole.history
        assert _same_weights(resumed, whole)
        assert resumed.changes == [{"epoch": 2, "nepochs": [1, 2]}]
        tables = [run.bundle_path.parent / "logs" / "metrics.csv" for run in (whole, resumed)]
        one, other = (list(csv.DictReader(path.read_text().splitlines())) for path in tables)
        assert list(one[0]) == [
            "epoch", "train_loss", "val_loss", "learning_rate", "seconds", "train_nll"
        ]  # fmt: skip
        assert [row["epoch"] for row in one] == ["1", "2"]
        for row in (*one, *other):
            assert float(row.pop("seconds")) > 0
        assert one == other

    @pytest.mark.parametrize("scheduler", ["ReduceLROnPlateau", "Exponential", "WarmupCosine"])
    def test_a_resumed_training_may_change_its_learning_rate(
        self, train: Any, config: Any, scheduler: str
    ) -> None:
        """The rate is the base that the schedule scales; changes are recorded, others refused."""
        old, new = (_execution(scheduler=scheduler, learning_rate=r) for r in (2e-3, 1e-3))
        train(SCAN, config(n_groups=8), execution=old)
        made = train(SCAN, config(nepochs=3, n_groups=8), resume=True, execution=new)
        assert made.changes == [{"epoch": 2, "nepochs": [1, 3], "learning_rate": [2e-3, 1e-3]}]
        whole = train(SCAN, config(nepochs=3, n_groups=8), output="whole", execution=new)
        wanted = whole.history["learning_rate"]
        np.testing.assert_allclose(made.history["learning_rate"][1:], wanted[1:], rtol=1e-5)
        again = train(SCAN, config(nepochs=4, n_groups=8), resume=True, execution=new)
        assert again.changes == [*made.changes, {"epoch": 4, "nepochs": [3, 4]}]

    def test_a_training_from_a_model_starts_at_its_loss_and_gets_better(
        self, train: Any, config: Any
    ) -> None:
        """With hardly any learning rate it stays the old network; the new bundle names the old."""
        made = train(SCAN, config(nepochs=3, n_groups=48), output="old")
        old = load_bundle(made.bundle_path)
        other = config(nepochs=2, n_groups=48)
        more: dict[str, Any] = {"start": old, "start_name": "old"}
        none, low = _execution(learning_rate=1e-12), _execution(learning_rate=2e-4)
        still = train(SCAN, other, output="still", execution=none, **more)
        best = min(made.history["val_loss"])
        np.testing.assert_allclose(still.history["val_loss"], best, rtol=1e-5)
        more["execution"] = low
        tuned = train(SCAN, other, **more)
        assert tuned.history["train_loss"][-1] < still.history["train_loss"][-1]
        assert load_bundle(tuned.bundle_path).start == {"name": "old", **old.identity}
        assert old.start == {}
        for start in (None, load_bundle(tuned.bundle_path)):
            with pytest.raises(InvalidValueError) as refused:
                train(SCAN, other, resume=True, start=start, execution=low)
            assert refused.value.name == "start"
        again = train(SCAN, config(nepochs=3, n_groups=48), resume=True, **more)
        assert again.history["train_loss"][:2] == tuned.history["train_loss"]

    def test_a_training_from_another_network_is_refused(
        self, door: Backend, train: Any, config: Any
    ) -> None:
        """By the settings, or by the shapes of the weights if those are equal."""
        old = load_bundle(train(SCAN, config(n_groups=8)).bundle_path)
        model = config().model
        door.check_start(old, model)
        for name, value in (("architecture", "unrolled"), ("n_filters_scale", 2), ("N", 128)):
            with pytest.raises(InvalidValueError) as refused:
                door.check_start(old, evolve(model, **{name: value}))
            assert refused.value.name == name
        first, *_ = (name for name in old.weights if name.startswith(NETWORK))
        broken = evolve(old, weights={**old.weights, first: np.zeros(3, np.float32)})
        with pytest.raises(InvalidValueError, match="of shape") as refused:
            train(SCAN, config(), output="new", start=broken)
        assert refused.value.name == "weights of the bundle"

    def test_early_stopping_keeps_the_best_epoch(
        self, train: Any, config: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        """It ends two epochs after the best one; a resumed training goes on if asked to."""
        # losses fall, so one of the first is the largest
        waits = _execution(
            scheduler="ReduceLROnPlateau", early_stop_patience=2, checkpoint_mode="max"
        )
        many = config(nepochs=8)
        made = train(SCAN, many, execution=waits)
        best = 1 + int(np.argmax(made.history["train_loss"]))
        assert (made.epochs, made.stopped) == (best + 2, "plateau")
        assert list((made.bundle_path.parent / "checkpoints").glob(f"best-*{best:03}.*"))
        with caplog.at_level("INFO", "ptycho_core"):
            again = train(SCAN, many, execution=waits, resume=True)
        assert (again.epochs, again.stopped, again.written) == (made.epochs, "plateau", False)
        assert "raise early_stop_patience" in caplog.messages.pop()
        more = train(SCAN, many, execution=evolve(waits, early_stop_patience=3), resume=True)
        assert more.epochs > made.epochs

    @pytest.mark.parametrize("columns", [60, 100])
    def test_a_terminal_shows_the_losses_of_every_epoch(
        self, train: Any, config: Any, columns: int
    ) -> None:
        """Nothing else stays on the screen, and one bar covers all epochs."""
        with logged_terminal(columns) as terminal:
            losses = train(SCAN, config(nepochs=3, n_groups=48)).history
        pair = losses["train_loss"], losses["val_loss"]
        rows = [f"{t:.5g}, val_loss {v:.5g}" for t, v in zip(*pair, strict=True)]
        expected = [f"epoch {n}/3: train_loss {row}" for n, row in enumerate(rows, start=1)]
        assert [line for line in terminal.lines if "epoch" in line] == expected
        assert not [line for line in terminal.lines if "to go" in line or "step" in line]
        assert "━".encode() in terminal.seen
        assert terminal.cursor

    def test_a_finished_training_leaves_its_bundle_alone(
        self, train: Any, config: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Resuming with no epoch left does nothing, but writes a bundle that is missing."""
        made = train(SCAN, config(nepochs=2, n_groups=8))
        before = made.bundle_path.read_bytes()
        for nepochs in (2, 1):
            with caplog.at_level("INFO", "ptycho_core"):
                again = train(SCAN, config(nepochs=nepochs, n_groups=8), resume=True)
            assert caplog.messages.pop() == "all 2 epochs are already done; bundle unchanged"
            assert (again.epochs, again.written) == (2, False)
            assert made.bundle_path.read_bytes() == before
        kept = load_bundle(made.bundle_path).weights
        made.bundle_path.unlink()
        again = train(SCAN, config(nepochs=2, n_groups=8), resume=True)
        assert again.written
        found = load_bundle(again.bundle_path).weights
        for name, weight in kept.items():
            np.testing.assert_array_equal(found[name], weight)

    def test_another_training_does_not_resume(self, train: Any, config: Any) -> None:
        """The error names the setting that changed."""
        train(SCAN, config(n_groups=8))
        cases: list[tuple[str, Scan, dict[str, Any], dict[str, Any]]] = [
            ("n_filters_scale", SCAN, {"model": {"n_filters_scale": 2}}, {}),
            ("gridsize", SCAN, {"model": {"gridsize": 2}}, {}),
            ("probe_trainable", SCAN, {"probe_trainable": True}, {}),
            ("average_weights", SCAN, {"average_weights": True}, {}),
            ("scheduler", SCAN, {}, {"scheduler": "Exponential"}),
            ("scans", simulated_scan(seed=5), {}, {}),
        ]
        for name, scan, settings, execution in cases:
            other = config(**{"nepochs": 2, "n_groups": 8} | settings)
            with pytest.raises(InvalidValueError) as refused:
                train(scan, other, resume=True, execution=_execution(**execution))
            assert refused.value.name == name

    def test_a_damaged_checkpoint_is_replaced_by_the_newest_whole_one(
        self, train: Any, config: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Resuming from that of the best epoch is told; without a whole one nothing is touched."""
        whole = train(SCAN, config(nepochs=2, n_groups=8))
        folder = whole.bundle_path.parent / "checkpoints"
        (last,), (best,) = folder.glob("last.*"), folder.glob("best-*")
        content = last.read_bytes()
        damages: list[Callable[[Path], object]] = [
            lambda path: path.write_bytes(b""),
            lambda path: path.write_bytes(b"no archive"),
            lambda path: path.write_bytes(content[: len(content) // 2]),
            _flip,
        ]
        for damage in damages:
            last.write_bytes(content)
            damage(last)
            caplog.clear()
            resumed = train(SCAN, config(nepochs=2, n_groups=8), resume=True)
            (told,) = (r.getMessage() for r in caplog.records if r.levelname == "WARNING")
            assert str(last) in told
            assert str(best) in told
            assert _same_weights(resumed, whole)
        last.write_bytes(content)
        for path in (last, best):
            _flip(path)
        before = {file: file.read_bytes() for file in folder.rglob("*.*")}
        with pytest.raises(InvalidValueError) as refused:
            train(SCAN, config(nepochs=3, n_groups=8), resume=True)
        assert refused.value.name == str(last)
        assert {file: file.read_bytes() for file in folder.rglob("*.*")} == before

    def _killed(self, kills: int) -> None:
        folder = inspect.getfile(type(self)).rpartition(os.sep)[0]
        path = os.pathsep.join([folder, *filter(None, [os.environ.get("PYTHONPATH")])])
        program = [sys.executable, "-m", "ptycho_core.testing.kills", self.backend]
        settings = ["--architecture", self.importable, "--kills", str(kills)]
        done = subprocess.run(  # noqa: S603 - our own program
            [*program, *settings],
            env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert json.loads(done.stdout)["kills"] >= kills

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
    def test_a_killed_training_is_resumed_to_the_same_bits(self) -> None:
        """The program kills trainings at changes of files, and at any time."""
        self._killed(3)

    @pytest.mark.slow
    @pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
    def test_trainings_killed_at_every_change_of_a_file_are_resumed_to_the_same_bits(self) -> None:
        """Also where they are killed again while they resume, or while they replace another one."""
        self._killed(100)

    def test_a_bundle_is_kept_unless_overwriting_is_asked_for(
        self, train: Any, config: Any
    ) -> None:
        """A second training in a folder needs ``overwrite``, and a first one cannot resume."""
        with pytest.raises(FileNotFoundError, match="nothing to resume from"):
            train(SCAN, config(), resume=True)
        path = train(SCAN, config(n_groups=8)).bundle_path
        before = path.read_bytes()
        with pytest.raises(OutputExistsError):
            train(SCAN, config(n_groups=8, seed=1))
        assert path.read_bytes() == before
        train(SCAN, config(n_groups=8, seed=1), overwrite=True)
        assert path.read_bytes() != before
        kinds = [file.stem.partition("-")[0] for file in (path.parent / "checkpoints").iterdir()]
        assert sorted(kinds) == ["best", "last"]
        path.unlink()  # what a killed training leaves
        with pytest.raises(OutputExistsError) as refused:
            train(SCAN, config(n_groups=8, seed=1))
        assert refused.value.path.stem == "last"
        train(SCAN, config(n_groups=8, seed=1), resume=True)
        assert path.exists()

    def test_divergence_is_an_error_and_what_was_there_stays(self, train: Any, config: Any) -> None:
        """Checkpoints and bundle of the training before are still those of before."""
        folder = train(SCAN, config(n_groups=8)).bundle_path.parent
        before = {file: file.read_bytes() for file in folder.rglob("*.*")}
        wild = _execution(learning_rate=1e25)
        with pytest.raises(DivergenceError, match="lower learning_rate"):
            train(SCAN, config(nepochs=5, n_groups=8), execution=wild, overwrite=True)
        assert {file: file.read_bytes() for file in folder.rglob("*.*")} == before

    def test_weights_of_absurd_size_give_no_result(
        self, train: Any, config: Any, reconstruct: Any
    ) -> None:
        """Patches, object and R-factor are finite, or there is one error that says what to do."""
        bundle = load_bundle(train(SCAN, config()).bundle_path)
        enlarged: dict[str, Any] = {
            name: np.full_like(value, 1e38) if name.startswith(NETWORK) else value
            for name, value in bundle.weights.items()
        }
        cases = [enlarged]
        cases += [{**bundle.weights, LOG_SCALE: np.float32(size)} for size in (80, 1e38, -1e38)]
        for weights in cases:
            with pytest.raises(InvalidValueError, match="train again") as refused:
                reconstruct(evolve(bundle, weights=weights), SCAN)
            assert refused.value.name in ("patches", "object", "R-factor", "weights of the bundle")
        for size in (np.nan, np.inf, 1e39):
            with pytest.raises(InvalidValueError, match="train again"):
                evolve(bundle, weights={**bundle.weights, LOG_SCALE: np.float64(size)})

    def test_weights_without_finite_products_are_no_result(self, train: Any, config: Any) -> None:
        """The loss of a single step does not tell."""
        wild = _execution(learning_rate=1e30, gradient_clip_val=None)
        with pytest.raises(DivergenceError, match="lower learning_rate"):
            train(SCAN, config(n_groups=8), execution=wild, output="wild")
        train(SCAN, config(n_groups=8), output="wild", overwrite=True)

    @pytest.mark.parametrize("weight", ["mae_weight", "realspace_weight", "realspace_mae_weight"])
    def test_each_loss_weight_brings_its_term(self, train: Any, config: Any, weight: str) -> None:
        """With one weight alone, its term is the loss."""
        history = train(SCAN, config(**{"nll_weight": 0.0, weight: 0.5})).history
        term = f"train_{weight.removesuffix('_weight')}"
        assert {name for name in history if name.startswith("train_")} == {"train_loss", term}
        assert history["train_loss"] == history[term]

    def test_supervised_training_learns_from_the_truth(self, train: Any, config: Any) -> None:
        """The error of the object falls, the scale stays as it is, and a truth is needed."""
        supervised = config({"model_type": "supervised"}, nepochs=3, n_groups=48)
        made = train(SCAN, supervised)
        losses = made.history["train_realspace_mae"]
        assert losses[-1] < losses[0]
        assert losses == made.history["train_loss"]
        assert load_bundle(made.bundle_path).weights["log_scale"] == 0
        with pytest.raises(InvalidValueError) as refused:
            train(evolve(SCAN, object_guess=None), supervised, output="blind")
        assert refused.value.name == "objectGuess or Y"

    def test_bad_pixels_teach_nothing(self, train: Any, config: Any) -> None:
        """Whatever the counts of a bad pixel are, the weights end as the same."""
        bad = np.zeros((SCAN.N, SCAN.N), bool)
        bad[30, 33] = True
        runs = []
        for count in (0, 500):
            diffraction = np.array(SCAN.diffraction)
            diffraction[:, bad] = count
            scan = evolve(SCAN, diffraction=diffraction, bad_pixels=bad, known_totals=None)
            runs.append(train(scan, config(), output=str(count)))
        assert _same_weights(*runs)

    def test_averaged_weights_and_synthetic_batches_change_what_they_are_meant_to(
        self, train: Any, config: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The mean of the weights steers no step; synthetic batches need one epoch before them."""
        monkeypatch.setattr("ptycho_config.training.FIRST_SYNTHETIC_EPOCH", 0)
        options: list[dict[str, Any]] = [{}, {"average_weights": True}, {"synthetic_batches": True}]
        runs = [
            train(SCAN, config(nepochs=3, n_groups=48, **option), output=str(number))
            for number, option in enumerate(options)
        ]
        plain, mean, synthetic = (run.history for run in runs)
        assert plain["train_loss"] == plain["train_nll"]
        assert mean["train_loss"] == plain["train_loss"]
        assert mean["val_loss"][-1] != plain["val_loss"][-1]
        assert not _same_weights(runs[0], runs[1])
        assert synthetic["train_loss"][0] == plain["train_loss"][0]
        assert synthetic["train_loss"][1] != plain["train_loss"][1]

    def test_an_explicit_dose_wins_over_that_of_the_file(self, train: Any, config: Any) -> None:
        """The photons of a scan count, unless a setting of the user's says otherwise."""
        amplitude = np.sqrt(SCAN.diffraction).astype(np.float32)
        stated = evolve(SCAN, diffraction=amplitude, domain="amplitude", nphotons=1e4)
        of_file = {"nphotons": {"value": 1e6, "origin": "data"}}  # of another scan, say
        cases: list[tuple[dict[str, Any], Any, float]] = [
            ({}, None, 1e4),
            ({"nphotons": 1e6}, None, 1e6),
            ({"nphotons": 1e6}, of_file, 1e4),
        ]
        for asked, origins, photons in cases:
            settings = config(n_groups=8, **asked)
            more = {"test_scan": stated, "overrides_applied": origins, "overwrite": True}
            bundle = load_bundle(train(stated, settings, **more).bundle_path)
            found = bundle.scaling["photons"]
            assert found == pytest.approx(photons, rel=0.1)
            assert bundle.scaling["input_scale"] == pytest.approx(32 / found**0.5)
            gain = np.exp(bundle.weights["log_scale"])
            assert bundle.scaling["intensity_scale"] == pytest.approx(gain * found**0.5 / 32)

    def test_patterns_of_another_size_are_refused(self, train: Any, config: Any) -> None:
        """The size of every scan is that of the model, also of one to validate on."""
        patterns = np.asarray(SCAN.diffraction)[:, ::2, ::2]
        small = evolve(SCAN, diffraction=patterns, probe=SCAN.probe[:, ::2, ::2])
        cases: list[tuple[Any, dict[str, Any]]] = [
            (small, {}),
            ([SCAN, small], {}),
            (SCAN, {"test_scan": small}),
        ]
        for scans, more in cases:
            with pytest.raises(InvalidValueError) as refused:
                train(scans, config(), **more)
            assert refused.value.got == "32"

    def test_a_trained_probe_is_kept_in_the_bundle(self, train: Any, config: Any) -> None:
        """The probe of the bundle moves where it is trained, and keeps its norm."""
        given = SCAN.probe / np.linalg.norm(SCAN.probe)
        for trainable in (False, True):
            made = train(SCAN, config(probe_trainable=trainable), output=str(trainable))
            probe = load_bundle(made.bundle_path).probe
            assert np.linalg.norm(probe) == pytest.approx(1, rel=1e-4)
            change = np.abs(probe - given).max()
            assert 1e-5 < change < 1e-2 if trainable else change < 1e-6

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
        for refused in (training, reconstruction):
            assert (refused.value.name, refused.value.got) == ("accelerator", "'tpu'")

    @pytest.mark.parametrize("name", ["tensorboard", "mlflow"])
    def test_a_logger_whose_package_is_missing_comes_with_the_command_that_installs_it(
        self, train: Any, config: Any, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        """The message says what to install, before any work."""
        found = importlib.util.find_spec
        monkeypatch.setattr(
            "ptycho_config.loggers.find_spec", lambda p: None if p == name else found(p)
        )
        with pytest.raises(MissingPackageError, match=f"pip install {name}"):
            train(SCAN, config(), execution=_execution(logger_backend=name))

    @pytest.mark.slow
    @pytest.mark.filterwarnings("ignore")  # MLflow's, of the packages that it stands on
    @pytest.mark.parametrize("elsewhere", [False, True])
    def test_mlflow_keeps_a_training_where_it_is_told(
        self,
        train: Any,
        config: Any,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        elsewhere: bool,
    ) -> None:
        """In the output folder, or where the environment says."""
        monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        mlflow = pytest.importorskip("mlflow")
        (tmp_path / "here").mkdir()
        monkeypatch.chdir(tmp_path / "here")
        monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
        monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "beamtime")
        uri = f"sqlite:///{tmp_path / 'model' / 'mlflow.db'}"
        if elsewhere:
            uri = f"sqlite:///{tmp_path / 'server.db'}"
            monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        tracked = _execution(logger_backend="mlflow")
        train(SCAN, config(nepochs=2), execution=tracked)
        result = train(SCAN, config(nepochs=3), execution=tracked, resume=True)
        client = mlflow.MlflowClient(uri)
        experiment = client.get_experiment_by_name("beamtime")
        (run,) = client.search_runs([experiment.experiment_id])
        for name in ("train_loss", "learning_rate"):
            found = client.get_metric_history(run.info.run_id, name)
            assert [metric.step for metric in found] == [1, 2, 3]
            wanted = result.history[name]
            np.testing.assert_allclose([metric.value for metric in found], wanted, rtol=1e-5)
        assert run.info.status == "FINISHED"
        assert (run.data.params["nepochs"], run.data.params["batch_size"]) == ("2", "8")
        assert run.data.tags["resumed.nepochs"] == "3"
        assert (tmp_path / "model" / "mlflow.db").exists() is not elsewhere
        if not elsewhere:
            assert not list((tmp_path / "here").iterdir())
            inside = {file.path for file in client.list_artifacts(run.info.run_id)}
            assert inside == {"wts.h5.zip", "pictures"}
            drawn = client.list_artifacts(run.info.run_id, "pictures")
            assert {Path(file.path).name for file in drawn} == {"object.png", "probe.png"}

    @pytest.mark.slow
    def test_tensorboard_shows_a_training(self, train: Any, config: Any) -> None:
        """Values at their epochs, settings and pictures."""
        reading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
        tracked = _execution(logger_backend="tensorboard")
        made = train(SCAN, config(nepochs=2), execution=tracked)
        events = reading.EventAccumulator(str(made.bundle_path.parent / "logs"))
        events.Reload()
        for name, wanted in made.history.items():
            found = events.Scalars(name)
            assert [event.step for event in found] == [1, 2]
            np.testing.assert_allclose([event.value for event in found], wanted, rtol=1e-5)
        assert set(events.Tags()["images"]) == {"object", "probe"}
        assert b"| nepochs | 2 |" in events.Tensors("settings")[0].tensor_proto.string_val[0]

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
