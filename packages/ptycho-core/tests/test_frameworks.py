"""A package without its framework: one error that names the command."""

import inspect
import sys
from importlib import import_module

import pytest
from ptycho_config.errors import MissingPackageError

INIT = """
from ptycho_core.frameworks import explain_missing
explain_missing(__name__, ("absent_one", "absent_two", "math"), "run `pip install them`")
"""
MODULES = {
    "__init__.py": INIT,
    "deep/__init__.py": "",
    "deep/computes.py": "import absent_two.part",
    "uses.py": "import explained.deep.computes",
    "needs_part.py": "import math.part_of_it",
    "needs_other.py": "import absent_other",
    "light.py": "def answer():\n    return 42\n",
}


@pytest.fixture
def explained(tmp_path, monkeypatch):
    """A package whose frameworks are missing; returns a call that imports one of its modules."""
    for name, text in MODULES.items():
        path = tmp_path / "explained" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    yield lambda name: import_module(f"explained.{name}")
    for name in [name for name in sys.modules if name.partition(".")[0] == "explained"]:
        del sys.modules[name]


@pytest.mark.parametrize("module", ["deep.computes", "uses"])
def test_all_that_is_missing_is_named_with_the_command(explained, module):
    message = "explained needs absent_one and absent_two, which are not installed: run `pip"
    with pytest.raises(MissingPackageError, match=message) as caught:
        explained(module)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("module", ["needs_part", "needs_other", "not_there"])
def test_other_errors_of_an_import_stay_what_they_are(explained, module):
    with pytest.raises(ModuleNotFoundError):
        explained(module)


def test_modules_that_need_nothing_are_as_ever(explained):
    assert explained("light").answer() == 42
    assert "return 42" in inspect.getsource(explained("light").answer)
