"""Training, mostly of a network so small that the mechanics are all there is to it."""

import csv
import signal
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest
from ptycho_core.groups import prepare
from ptycho_core.results import TrainingInterrupted
from ptycho_data import load_bundle, save_scan
from ptycho_tf import training as training_module
from ptycho_tf.bundles import model_from
from ptycho_tf.callbacks import LossHistory
from ptycho_tf.data import BatchSource
from ptycho_tf.learning import LearningModel

pytestmark = pytest.mark.usefixtures("tiny")


def weights(result):
    return load_bundle(result.bundle_path).weights


def same(first, second):
    return all(np.array_equal(first[name], second[name]) for name in first)


@pytest.mark.slow
def test_resuming_after_a_signal_gives_the_identical_end_result(
    train, scan, training, execution, monkeypatch
):
    monkeypatch.setattr("ptycho_config.training.FIRST_SYNTHETIC_EPOCH", 0)
    settings = execution(scheduler="ReduceLROnPlateau", accum_steps=2)
    asked = {"nepochs": 4, "average_weights": True, "synthetic_batches": True}
    whole = train(scan, training(**asked), settings, output="whole")

    class Kill(LossHistory):
        def on_train_batch_begin(self, batch, logs=None):  # noqa: ARG002 - Keras's signature
            if len(self.record.epochs) == 2 and batch == 1:  # in the middle of the third epoch
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
    config = training(average_weights=True)
    made = train(scan, config, execution())
    model = model_from(load_bundle(made.bundle_path), scan.probe)
    data = prepare(scan, config)[1]
    learning = LearningModel(model, config, execution())
    source = BatchSource(parts=[data], batch_size=config.batch_size, seed=config.seed, fixed=True)
    loss = learning.evaluate(source.dataset(), return_dict=True, verbose=0)["loss"]
    assert loss == pytest.approx(min(made.history["val_loss"]), rel=1e-5)


def test_the_best_epochs_are_kept(train, scan, training, execution):
    config = training(nepochs=4)
    settings = execution(checkpoint_save_top_k=2, checkpoint_mode="max", logger_backend="csv")
    history = train(scan, config, settings).history
    folder = train.folder / "checkpoints"
    found = {path.name for path in folder.iterdir()}
    order = np.argsort(history["val_loss"])[::-1]  # the mode makes the largest loss the best
    assert found == {"last.npz", *(f"best-{epoch + 1:03}.npz" for epoch in order[:2])}
    with (train.folder / "logs" / "metrics.csv").open() as file:
        losses = [float(row["val_loss"]) for row in csv.DictReader(file)]
    assert losses == history["val_loss"]


def test_patience_and_no_checkpoints(train, scan, training, execution):
    settings = execution(early_stop_patience=1, checkpoint_mode="max", enable_checkpointing=False)
    config = training(nepochs=9)
    assert train(scan, config, settings).epochs < 9
    assert not (train.folder / "checkpoints").exists()


def test_few_patterns_are_remarked_on(train, scan, training, execution, caplog):
    train(scan.select([0, 1]), training(nepochs=1), execution())
    assert "only 2 patterns with hardly any overlap: training may fail" in caplog.text


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
