"""Training, mostly of a network so small that the mechanics are all there is to it."""

import csv
import signal
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest
from attrs import evolve
from ptycho_core.groups import prepare
from ptycho_data import OutputExistsError, load_bundle, save_scan
from ptycho_physics import DivergenceError
from ptycho_tf import training as training_module
from ptycho_tf.bundles import model_from
from ptycho_tf.callbacks import LossHistory
from ptycho_tf.data import BatchSource
from ptycho_tf.learning import LearningModel
from ptycho_tf.training import TrainingInterrupted

pytestmark = pytest.mark.usefixtures("tiny")


def weights(result):
    return load_bundle(result.bundle_path).weights


def same(first, second):
    return all(np.array_equal(first[name], second[name]) for name in first)


@pytest.mark.slow
def test_training_lowers_the_losses_and_writes_a_bundle(train, scan, training, execution):
    config = training({"architecture": "unrolled"}, nepochs=3, probe_trainable=True)
    result = train(scan, config, execution())
    assert result.epochs == 3
    assert set(result.history) == {
        *("learning_rate", "train_loss", "train_nll", "val_loss", "val_nll")
    }
    assert result.history["train_loss"][-1] < 0.9 * result.history["train_loss"][0]
    assert result.history["val_loss"][-1] < result.history["val_loss"][0]
    bundle = load_bundle(result.bundle_path)
    assert bundle.backend == "tensorflow"
    assert bundle.history["train_loss"] == result.history["train_loss"]
    assert bundle.scaling["photons"] == pytest.approx(scan.mean_photons(), rel=0.05)
    given = scan.probe / np.linalg.norm(scan.probe)
    assert 1e-5 < np.abs(bundle.probe - given).max() < 1e-2
    assert np.linalg.norm(bundle.probe) == pytest.approx(1, rel=1e-4)


def test_same_seed_same_weights_bit_by_bit(train, scan, training, execution):
    runs = [
        train(scan, training({"gridsize": 2}, seed=seed), execution(), output=name)
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    ]
    assert same(weights(runs[0]), weights(runs[1]))
    assert not same(weights(runs[0]), weights(runs[2]))


@pytest.mark.parametrize("options", [False, True])
def test_resuming_after_a_signal_gives_the_identical_end_result(
    train, scan, training, execution, monkeypatch, options
):
    monkeypatch.setattr("ptycho_config.training.FIRST_SYNTHETIC_EPOCH", 0)
    settings = execution(scheduler="ReduceLROnPlateau", accum_steps=2)
    asked = {"nepochs": 4, "average_weights": options, "synthetic_batches": options}
    whole = train(scan, training(**asked), settings, output="whole")

    class Kill(LossHistory):
        def on_train_batch_begin(self, batch, logs=None):  # noqa: ARG002 - Keras's signature
            if len(self.epochs) == 2 and batch == 1:  # in the middle of the third epoch
                signal.raise_signal(signal.SIGTERM)

    config = training(**asked)
    with monkeypatch.context() as patched:
        patched.setattr(training_module, "LossHistory", Kill)
        with pytest.raises(TrainingInterrupted, match="interrupted after 2 epochs") as stopped:
            train(scan, config, settings)
    assert stopped.value.result.epochs == 2
    best = load_bundle(train.folder)  # valid, of the best of the two epochs that ended
    assert len(best.history["train_loss"]) == 2
    result = train(scan, config, settings, resume=True)
    assert same(weights(result), weights(whole))
    assert result.history == whole.history
    again = train(scan, config, settings, resume=True)
    assert (again.epochs, again.written) == (4, False)


def test_the_mean_of_the_weights_is_validated_and_kept(train, scan, training, execution):
    made, found = {}, {}
    for average in (False, True):
        config = training(average_weights=average)
        settings = execution(enable_checkpointing=average)
        made[average] = train(scan, config, settings, output=str(average))
        found[average] = weights(made[average])["network.only.weight"]
    losses = {average: result.history for average, result in made.items()}
    assert losses[True]["train_loss"] == losses[False]["train_loss"]  # steps go by the weights
    assert losses[True]["val_loss"][-1] != losses[False]["val_loss"][-1]
    assert np.abs(found[True] - found[False]).max() > 1e-5
    model = model_from(load_bundle(made[True].bundle_path), scan.probe)
    data = prepare(scan, config)[1]
    learning = LearningModel(model, config, execution())
    source = BatchSource(parts=[data], batch_size=config.batch_size, seed=config.seed, fixed=True)
    loss = learning.evaluate(source.dataset(), return_dict=True, verbose=0)["loss"]
    assert loss == pytest.approx(min(losses[True]["val_loss"]), rel=1e-5)


def test_batches_are_synthetic_where_asked_for_and_only_there(
    train, scan, training, execution, monkeypatch
):
    monkeypatch.setattr("ptycho_config.training.FIRST_SYNTHETIC_EPOCH", 0)
    found = {}
    for wanted in (False, True):
        config = training(nepochs=3, synthetic_batches=wanted)
        found[wanted] = train(scan, config, execution(), output=str(wanted)).history["train_loss"]
    assert found[True][0] == found[False][0]
    assert found[True][1] != found[False][1]


def test_the_best_epochs_are_kept(train, scan, training, execution):
    config = training(nepochs=4)
    settings = execution(checkpoint_save_top_k=2, checkpoint_mode="max", logger_backend="csv")
    history = train(scan, config, settings).history
    folder = train.folder / "checkpoints"
    found = {path.name for path in folder.iterdir()}
    order = np.argsort(history["val_loss"])[::-1]  # the mode makes the largest loss the best
    assert found == {"last.npz", *(f"best-{epoch:03}.npz" for epoch in order[:2])}
    with (train.folder / "logs" / "metrics.csv").open() as file:
        losses = [float(row["val_loss"]) for row in csv.DictReader(file)]
    assert losses == history["val_loss"]


def test_patience_and_no_checkpoints(train, scan, training, execution):
    settings = execution(early_stop_patience=1, checkpoint_mode="max", enable_checkpointing=False)
    config = training(nepochs=9)
    assert train(scan, config, settings).epochs < 9
    assert not (train.folder / "checkpoints").exists()


def test_an_existing_bundle_or_checkpoint_is_kept_unless_told(train, scan, training, execution):
    config = training(nepochs=1, n_groups=8)
    with pytest.raises(FileNotFoundError, match="nothing to resume from"):
        train(scan, config, execution(), resume=True)
    first = train(scan, config, execution()).bundle_path
    with pytest.raises(OutputExistsError, match="--overwrite"):
        train(scan, config, execution())
    first.unlink()  # what a killed run leaves
    with pytest.raises(OutputExistsError, match=r"last\.npz: exists already"):
        train(scan, config, execution())
    train(scan, config, execution(), resume=True)
    assert first.exists()


def test_divergence_is_an_error_and_the_old_checkpoints_stay(train, scan, training, execution):
    config = training({"architecture": "tiny"}, nepochs=1, n_groups=8)
    train(scan, config, execution())
    before = (train.folder / "checkpoints" / "last.npz").read_bytes()
    with pytest.raises(DivergenceError, match="lower learning_rate"):
        train(scan, evolve(config, nepochs=3), execution(learning_rate=1e25), overwrite=True)
    assert (train.folder / "checkpoints" / "last.npz").read_bytes() == before


def test_a_checkpoint_of_another_model_is_refused(train, scan, training, execution):
    train(scan, training(nepochs=1, n_groups=8), execution())
    other = training({"gridsize": 2}, nepochs=1, n_groups=8)
    with pytest.raises(ValueError, match="gridsize must be as in the checkpoint, 1, got 2"):
        train(scan, other, execution(), resume=True)
    (train.folder / "checkpoints" / "last.npz").write_bytes(b"no archive")
    with pytest.raises(ValueError, match="must be a checkpoint of the TensorFlow backend"):
        train(scan, other, execution(), resume=True)


@pytest.mark.parametrize("weight", ["mae_weight", "realspace_weight", "realspace_mae_weight"])
def test_each_loss_weight_brings_its_term(train, scan, training, execution, weight):
    settings = {"nll_weight": 0.0, weight: 0.5, "nepochs": 1, "n_groups": 16}
    history = train(scan, training(**settings), execution()).history
    term = f"train_{weight.removesuffix('_weight')}"
    assert {name for name in history if name.startswith("train_")} == {"train_loss", term}
    assert history["train_loss"] == history[term]


def test_a_loss_that_is_never_logged_is_an_error_before_training(train, scan, training, execution):
    with pytest.raises(ValueError, match="checkpoint_monitor_metric must be"):
        train(scan, training(), execution(checkpoint_monitor_metric="val_accuracy"))


def test_an_explicit_dose_wins_over_the_files(train, scan, training, execution):
    amplitude = np.sqrt(scan.diffraction).astype(np.float32)
    stated = evolve(scan, diffraction=amplitude, domain="amplitude", nphotons=1e4)

    def photons(overrides=None, **asked):
        config = training(nepochs=1, n_groups=8, **asked)
        result = train(
            stated,
            config,
            execution(),
            test_scan=stated,
            overrides_applied=overrides,
            overwrite=True,
        )
        return load_bundle(result.bundle_path).scaling["photons"]

    assert photons() == pytest.approx(1e4, rel=0.1)
    assert photons(nphotons=1e6) == pytest.approx(1e6, rel=0.1)
    of_file = {"nphotons": {"value": 1e6, "origin": "data"}}  # of another scan, say
    assert photons(of_file, nphotons=1e6) == pytest.approx(1e4, rel=0.1)


def test_few_patterns_are_remarked_on_and_other_sizes_refused(
    train, scan, training, execution, caplog
):
    train(scan.select([0, 1]), training(nepochs=1), execution())
    assert "only 2 patterns with hardly any overlap: training may fail" in caplog.text
    small = evolve(scan, diffraction=scan.diffraction[:, ::2, ::2], probe=scan.probe[:, ::2, ::2])
    for given in ({"scans": small}, {"scans": scan, "test_scan": small}):
        with pytest.raises(ValueError, match="must be 64, that of the model, got 32"):
            train(config=training(), execution=execution(), output="new", **given)


def test_a_supervised_network_leaves_the_scale_alone_in_half_precision(
    train, scan, training, execution
):
    config = training({"model_type": "supervised"}, nepochs=1, n_groups=16)
    result = train(scan, config, execution(precision="bf16-mixed"), test_scan=scan)
    assert float(weights(result)["log_scale"]) == 0
    assert weights(result)["network.only.weight"].dtype == np.float32


def test_training_works_in_a_thread(train, scan, training, execution):
    config = training(nepochs=1, n_groups=8)
    thread = threading.Thread(target=train, args=(scan, config, execution()))
    thread.start()
    thread.join()
    assert load_bundle(train.folder).history["train_loss"]


@pytest.mark.slow
def test_two_devices_train_like_one(scan, tmp_path):
    script = textwrap.dedent("""
        import sys
        from pathlib import Path
        from ptycho_config import ModelConfig, PyTorchExecutionConfig, TrainingConfig
        from ptycho_data import load_scan
        from ptycho_tf.training import train

        scan, devices = load_scan(sys.argv[1]), int(sys.argv[3])
        config = TrainingConfig(
            model=ModelConfig(architecture="cnn", n_filters_scale=1),
            backend="tensorflow", nepochs=1,
            batch_size=4, n_groups=16,
        )
        execution = PyTorchExecutionConfig(
            learning_rate=1e-4, logger_backend="none", devices=devices, accum_steps=3 - devices,
            gradient_clip_val=0.1,
        )
        train(scan, config, execution, output=Path(sys.argv[2]))
    """)
    path = tmp_path / "scan.npz"
    save_scan(path, scan)
    for devices in (1, 2):  # two batches a step: one after the other, or side by side
        command = [sys.executable, "-c", script, str(path), str(tmp_path / f"{devices}")]
        subprocess.run([*command, str(devices)], check=True, timeout=300)  # noqa: S603 - our own
    one, two = (load_bundle(tmp_path / f"{devices}") for devices in (1, 2))
    for name, value in one.weights.items():
        np.testing.assert_allclose(two.weights[name], value, atol=1e-5, err_msg=name)
    assert two.history["train_loss"] == pytest.approx(one.history["train_loss"], rel=1e-4)
