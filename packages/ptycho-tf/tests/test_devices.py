import subprocess
import sys

import pytest
from ptycho_config import InvalidValueError, PyTorchExecutionConfig
from ptycho_tf.devices import open_devices
from ptycho_tf.frameworks import tf


def test_one_device_needs_no_strategy():
    devices = open_devices(PyTorchExecutionConfig())
    assert devices.count == 1
    assert devices.strategy is None
    with devices.scope():
        assert "CPU:0" in tf.Variable(1.0).device


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("accelerator", "tpu", "cpu"),
        ("strategy", "deepspeed", "auto, ddp, mirrored"),
        ("num_nodes", 2, "1"),
        ("devices", 2, "at most 1"),
    ],
)
def test_what_is_not_here_is_refused_by_name(name, value, rule):
    tf.constant(1.0) + 1  # the CPU is in use, in one piece
    with pytest.raises(InvalidValueError) as refused:
        open_devices(PyTorchExecutionConfig(**{name: value}))
    assert (refused.value.name, refused.value.got) == (name, repr(value))
    assert rule in refused.value.rule


def test_one_cpu_is_divided_where_several_devices_are_asked_for():
    code = (
        "from ptycho_config import PyTorchExecutionConfig as E; "
        "from ptycho_tf.devices import open_devices; "
        "print(open_devices(E(devices=2)).strategy.num_replicas_in_sync)"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 ours
    assert done.stdout == "2\n"
