import subprocess
import sys

import pytest
from ptycho_config import PyTorchExecutionConfig
from ptycho_tf.devices import open_devices
from ptycho_tf.frameworks import tf


def test_one_device_needs_no_strategy():
    devices = open_devices(PyTorchExecutionConfig())
    assert devices.count == 1
    assert devices.strategy is None
    with devices.scope():
        assert "CPU:0" in tf.Variable(1.0).device


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"accelerator": "tpu"}, "accelerator 'tpu'.*TensorFlow finds .*cpu"),
        ({"strategy": "deepspeed"}, "strategies here are auto, ddp, mirrored"),
        ({"num_nodes": 2}, "several computers need the pytorch backend"),
        ({"devices": 2}, "TensorFlow has 1 of kind CPU in this process"),
    ],
)
def test_what_is_not_here_is_refused(settings, rule):
    tf.constant(1.0) + 1  # the CPU is in use, in one piece
    with pytest.raises(ValueError, match=f"execution must be .*{rule}"):
        open_devices(PyTorchExecutionConfig(**settings))


def test_one_cpu_is_divided_where_several_devices_are_asked_for():
    code = (
        "from ptycho_config import PyTorchExecutionConfig as E; "
        "from ptycho_tf.devices import open_devices; "
        "print(open_devices(E(devices=2)).strategy.num_replicas_in_sync)"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 ours
    assert done.stdout == "2\n"
