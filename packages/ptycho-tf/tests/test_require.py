"""TensorFlow is asked for in one place, and its absence is said with the way out."""

import sys

import pytest
from ptycho_config.install import install_command
from ptycho_tf import require_tensorflow


def test_missing_tensorflow_names_the_pip_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)  # as if it were not installed
    with pytest.raises(RuntimeError) as caught:
        require_tensorflow()
    assert install_command("ptycho-tf[cpu]") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_broken_tensorflow_keeps_its_own_error(monkeypatch, tmp_path):
    (tmp_path / "tensorflow.py").write_text("import a_part_of_it_that_is_gone\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    with pytest.raises(ModuleNotFoundError, match="a_part_of_it_that_is_gone"):
        require_tensorflow()


def test_returns_the_module(monkeypatch, tmp_path):
    (tmp_path / "tensorflow.py").write_text("here = True\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    try:
        assert require_tensorflow().here
    finally:
        sys.modules.pop("tensorflow", None)
