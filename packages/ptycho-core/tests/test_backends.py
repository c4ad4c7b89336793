"""The registry of backends."""

import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest
from attrs import frozen
from ptycho_config import ModelConfig, PyTorchExecutionConfig, TrainingConfig
from ptycho_config.errors import InvalidValueError, MissingPackageError
from ptycho_config.install import install_command
from ptycho_core import backends
from ptycho_core.backends import Backend, backend_names, find_backend, require
from ptycho_core.testing import FakeBackend, registered


def test_missing_framework_is_named_with_the_pip_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)  # what the import system reads as: not there
    with pytest.raises(MissingPackageError, match=r'torch.*missing.*"ptycho-cli\[torch\]"'):
        require("pytorch")


def test_unknown_backend_is_named():
    with pytest.raises(InvalidValueError) as refused:
        require("caffe")
    assert (refused.value.name, refused.value.got) == ("backend", "'caffe'")
    assert refused.value.rule.startswith("one of pytorch, tensorflow")


def test_ours_are_known_where_they_are_not_installed(monkeypatch):
    monkeypatch.setattr(backends, "_installed", dict)
    assert backend_names() == ["pytorch", "tensorflow"]
    assert find_backend("tensorflow").pip_command == install_command("ptycho-cli[tf]")


@pytest.mark.together
def test_listing_imports_no_framework():
    code = (
        "import sys; from ptycho_core.backends import backend_names, find_backend;"
        "print([find_backend(name).features for name in backend_names()]);"
        "sys.exit(bool({'torch', 'tensorflow', 'keras', 'lightning'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603 - our own


def test_a_backend_is_registered_by_a_call():
    fake = FakeBackend(name="fake")
    with registered(fake):
        assert "fake" in backend_names()
        assert require("fake") is fake
        assert fake.recommended_rate(ModelConfig()) == 2e-3
    assert "fake" not in backend_names()


ONE_FILE = """
from attrs import frozen
from ptycho_core.backends import Backend

@frozen(kw_only=True)
class Fast(Backend):
    def recommended_rate(self, model):
        return 0.5

BACKEND = Fast(name="fast", package="one_file_backend", framework="math")
NOT_ONE = 3
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Make a backend in one file, as an entry point finds it."""
    (tmp_path / "one_file_backend.py").write_text(ONE_FILE)
    monkeypatch.syspath_prepend(tmp_path)

    def entry(value):
        found = {"fast": EntryPoint(name="fast", value=value, group=backends.GROUP)}
        monkeypatch.setattr(backends, "_installed", lambda: found)

    yield entry
    sys.modules.pop("one_file_backend", None)


def test_a_backend_may_be_one_file(installed):
    installed("one_file_backend:BACKEND")
    assert backend_names() == ["pytorch", "tensorflow", "fast"]
    fast = require("fast")
    assert fast.recommended_rate(ModelConfig()) == 0.5
    assert fast.pip_command == 'pip install "one-file-backend"'
    assert fast.source == "from the package index"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("no_such_module:BACKEND", "cannot be imported: No module named"),
        ("one_file_backend:ANOTHER", "cannot be imported: "),
        ("one_file_backend:NOT_ONE", "is not a Backend"),
    ],
)
def test_an_entry_point_that_is_none_is_named(installed, value, message):
    installed(value)
    with pytest.raises(MissingPackageError, match=message) as caught:
        find_backend("fast")
    assert value in str(caught.value)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import nothing_like_this", "cannot be imported"),
        ("raise ImportError('libfoo.so: cannot open')", "libfoo.so.*--force-reinstall"),
    ],
)
def test_broken_backend_is_told_from_a_missing_one(source, message, tmp_path, monkeypatch):
    name = f"broken_backend_{abs(hash(source))}"
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").touch()
    (tmp_path / name / "training.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    broken = Backend(name="broken", package=name, framework="math", extra="x")
    with pytest.raises(MissingPackageError, match=message):
        broken.train()


@frozen(kw_only=True)
class Plain(Backend):
    def _attribute(self, module, attribute):
        return lambda *_: (module, attribute)


@pytest.mark.parametrize(
    ("config", "scans", "name"),
    [({}, 2, "scans"), ({"positions_trainable": True}, 1, "positions_trainable")],
)
def test_what_a_backend_does_not_declare_is_refused(config, scans, name):
    plain = Plain(name="plain", package="ptycho_core", framework="math")
    able = Plain(
        name="able", package="p", framework="math", several_scans=True, moving_positions=True
    )
    with registered(able), pytest.raises(InvalidValueError) as refused:
        plain.check_training(TrainingConfig(**config), PyTorchExecutionConfig(), scans)
    assert refused.value.name == name
    assert "able" in refused.value.advice
    able.check_training(TrainingConfig(**config), PyTorchExecutionConfig(), scans)


def test_a_backend_says_how_many_processes_share_the_work():
    execution = PyTorchExecutionConfig(devices=2, num_nodes=3)
    names = {"package": "ptycho_core", "framework": "math"}
    assert Plain(name="plain", **names).processes(execution) == 6
    assert Plain(name="plain", one_process=True, **names).processes(execution) == 1


def test_several_devices_must_be_declared_to_reconstruct():
    plain = Plain(name="plain", package="ptycho_core", framework="math")
    with pytest.raises(InvalidValueError) as refused:
        plain.check_inference(None, PyTorchExecutionConfig(devices=2))
    assert refused.value.name == "devices"
