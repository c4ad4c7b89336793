import json
import sys

from ptycho_config.install import install_command
from ptycho_core.testing import FakeBackend, registered


def test_missing_backends_are_named_with_what_to_do(ptycho, monkeypatch):
    for name in ("torch", "tensorflow"):
        monkeypatch.setitem(sys.modules, name, None)
    done = ptycho("env")
    assert done.code == 0
    assert install_command("ptycho-cli[torch]") in done.out
    assert install_command("ptycho-cli[tf]") in done.out
    assert "numpy" in done.out
    report = json.loads(ptycho("env", "--json").out)
    assert report["backends"]["pytorch"]["installed"] is False
    assert report["cpu_cores"] >= 1


class Devices(FakeBackend):
    """A backend with a GPU, or with a broken framework."""

    broken = False

    def devices(self):
        if self.broken:
            raise OSError("libcudart.so: cannot open")
        return ["cpu", "cuda:0 Fast"]


class Broken(Devices):
    broken = True


def test_devices_of_an_installed_backend(ptycho):
    with registered(Devices(name="pytorch")):
        assert "ready on cpu, cuda:0 Fast" in ptycho("env").out
        report = json.loads(ptycho("env", "--json").out)
    assert report["backends"]["pytorch"]["features"]["several scans"] is True


def test_a_broken_framework_is_reported_not_raised(ptycho):
    with registered(Broken(name="pytorch", extra="torch")):
        done = ptycho("env")
    assert done.code == 0
    assert "broken (OSError: libcudart.so: cannot open)" in done.out
    assert f"{install_command('ptycho-cli[torch]')} --force-reinstall" in done.out


def test_backends_of_others_are_listed(ptycho):
    with registered(FakeBackend(name="fake")):
        assert "fake" in json.loads(ptycho("env", "--json").out)["backends"]
