import json
import sys
from types import ModuleType, SimpleNamespace

import pytest
from ptycho_cli.commands import env as command


def test_missing_backends_are_named_with_what_to_do(ptycho, monkeypatch):
    for name in ("torch", "tensorflow"):
        monkeypatch.setitem(sys.modules, name, None)
    done = ptycho("env")
    assert done.code == 0
    assert 'pip install "ptycho-cli[torch]"' in done.out
    assert 'pip install "ptycho-cli[tf]"' in done.out
    assert "numpy" in done.out
    report = json.loads(ptycho("env", "--json").out)
    assert report["backends"]["pytorch"]["installed"] is False
    assert report["cpu_cores"] >= 1


@pytest.mark.usefixtures("stand_in")
def test_devices_of_an_installed_backend(ptycho, monkeypatch):
    monkeypatch.setitem(command.DEVICES, "pytorch", lambda: ["cpu", "cuda:0 Fast"])
    assert "ready on cpu, cuda:0 Fast" in ptycho("env").out


@pytest.mark.usefixtures("stand_in")
def test_a_broken_framework_is_reported_not_raised(ptycho, monkeypatch):
    def fail():
        raise OSError("libcudart.so: cannot open")

    monkeypatch.setitem(command.DEVICES, "pytorch", fail)
    done = ptycho("env")
    assert done.code == 0
    assert "broken (OSError: libcudart.so: cannot open)" in done.out


def test_tensorflow_comes_in_by_the_way_that_is_quiet(monkeypatch):
    device = SimpleNamespace(name="/physical_device:CPU:0")
    tf = SimpleNamespace(config=SimpleNamespace(list_physical_devices=lambda: [device]))
    monkeypatch.setitem(sys.modules, "ptycho_tf", ModuleType("ptycho_tf"))
    monkeypatch.setitem(sys.modules, "ptycho_tf.frameworks", SimpleNamespace(tf=tf))
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    assert command.DEVICES["tensorflow"]() == ["CPU:0"]
