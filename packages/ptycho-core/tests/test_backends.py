import sys

import pytest
from ptycho_config.errors import InvalidValueError, MissingPackageError
from ptycho_core import backends
from ptycho_core.backends import Backend, reconstructor, require, trainer


def test_missing_framework_is_named_with_the_pip_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)  # what the import system reads as: not there
    with pytest.raises(
        MissingPackageError, match=r'torch.*missing.*pip install "ptycho-cli\[torch\]"'
    ):
        trainer("pytorch")


def test_unknown_backend_is_named():
    with pytest.raises(InvalidValueError) as refused:
        require("caffe")
    assert (refused.value.name, refused.value.got) == ("backend", "'caffe'")


@pytest.mark.usefixtures("stand_in")
def test_selecting_imports_nothing_of_the_other(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    monkeypatch.setitem(sys.modules, "torch", None)
    assert trainer("pytorch").__module__ == "stand_in_backend.training"
    assert reconstructor("pytorch").__module__ == "stand_in_backend.reconstruction"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import nothing_like_this", "does not load"),
        ("raise ImportError('libfoo.so: cannot open')", "libfoo.so.*--force-reinstall"),
        (None, "cannot do this yet"),
    ],
)
def test_broken_backend_is_told_from_a_missing_one(source, message, tmp_path, monkeypatch):
    name = f"broken_backend_{abs(hash(source))}"
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").touch()
    if source is not None:
        (tmp_path / name / "training.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    broken = Backend(name="broken", package=name, framework="math", extra="x")
    monkeypatch.setitem(backends.BACKENDS, "broken", broken)
    with pytest.raises(MissingPackageError, match=message):
        trainer("broken")
