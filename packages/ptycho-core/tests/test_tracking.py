"""Trackers of a training."""

import subprocess
import sys

import numpy as np
import pytest
from ptycho_config import ModelConfig, PyTorchExecutionConfig, TrainingConfig
from ptycho_core.testing import simulated_scan
from ptycho_core.tracking.base import SparingTracker, Tracker
from ptycho_core.tracking.choice import settings_of, tracked

SETTINGS = {"nepochs": 3, "learning_rate": 1e-3, "architecture": "cnn", "probe_mask": False}


class Failing(Tracker):
    def __init__(self):
        self.calls = 0

    def epoch(self, epochs):
        self.calls += 1
        if len(epochs) == 2:
            raise ConnectionError("the server\nhttp://me:secret@there/api is gone")


def test_a_tracker_that_fails_is_one_warning(caplog):
    failing = Failing()
    tracker = SparingTracker("mlflow", failing)
    for number in range(1, 5):
        tracker.epoch([{"train_loss": 1.0}] * number)
    tracker.results([], {})
    tracker.close("epochs")
    assert failing.calls == 2
    (warning,) = caplog.messages
    assert warning == (
        "logger_backend mlflow failed, and the training continues without it: "
        "the server http://there/api is gone"
    )


def test_settings_are_plain_values_by_their_names():
    config = TrainingConfig(model=ModelConfig(gridsize=2), backend="pytorch", nepochs=7)
    settings = settings_of(config, PyTorchExecutionConfig(), [simulated_scan()])
    assert (settings["nepochs"], settings["gridsize"], settings["n_groups"]) == (7, 2, "None")
    assert settings["scans"] == simulated_scan().label
    assert {type(value) for value in settings.values()} <= {bool, int, float, str}


def read_back(folder):
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="reads the events"
    )
    events = accumulator.EventAccumulator(str(folder))
    events.Reload()
    return events


def write(output, numbers, *, resumed=False, picture=b""):
    with tracked("tensorboard", output, SETTINGS, resumed=resumed) as tracker:
        for number in numbers:
            tracker.epoch([{"train_loss": 1 / k} for k in range(1, number + 1)])
        tracker.results([], {"object": picture} if picture else {})
        tracker.close("epochs")


def test_tensorboard_reads_back_what_was_written(tmp_path):
    pytest.importorskip("tensorboard", reason="writes the events")
    import matplotlib.image

    path = tmp_path / "picture.png"
    matplotlib.image.imsave(path, np.zeros((4, 6)))
    write(tmp_path, [1, 2, 3], picture=path.read_bytes())
    events = read_back(tmp_path / "logs")
    found = [(event.step, event.value) for event in events.Scalars("train_loss")]
    assert found == [(1, 1.0), (2, 0.5), (3, pytest.approx(1 / 3))]
    (image,) = events.Images("object")
    assert (image.width, image.height, image.step) == (6, 4, 3)
    assert image.encoded_image_string == path.read_bytes()
    (text,) = events.Tensors("settings")
    assert b"| learning_rate | 0.001 |" in text.tensor_proto.string_val[0]
    assert "_hparams_/session_start_info" in events.summary_metadata


def test_a_resumed_training_adds_events_and_another_one_replaces_them(tmp_path):
    pytest.importorskip("tensorboard", reason="writes the events")
    write(tmp_path, [1, 2, 3])
    write(tmp_path, [3, 4], resumed=True)  # killed before it had saved epoch 3
    steps = [event.step for event in read_back(tmp_path / "logs").Scalars("train_loss")]
    assert steps == [1, 2, 3, 4]
    write(tmp_path, [1])
    steps = [event.step for event in read_back(tmp_path / "logs").Scalars("train_loss")]
    assert steps == [1]


@pytest.mark.together
def test_tensorboard_loads_no_framework(tmp_path):
    pytest.importorskip("tensorboard", reason="writes the events")
    program = (
        "import sys; from pathlib import Path; from ptycho_core.tracking.choice import tracked\n"
        "with tracked('tensorboard', Path(sys.argv[1]), {'a': 1}, resumed=False) as tracker:\n"
        "    tracker.epoch([{'train_loss': 1.0}]); tracker.close('epochs')\n"
        "sys.exit(bool({'tensorflow', 'torch', 'jax'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    assert subprocess.run(command, check=False).returncode == 0  # noqa: S603 - our own program
    assert len(list((tmp_path / "logs").iterdir())) == 1
