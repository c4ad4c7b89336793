"""Names that went elsewhere."""

import sys
from importlib import import_module
from importlib.util import find_spec

import ptycho_config
import pytest
from ptycho_config.moved import MovedError, MovedNames


@pytest.fixture
def moved(tmp_path, monkeypatch):
    """Make a package ``olden`` with a module ``kept``; its names are gone, or renamed."""
    table = MovedNames(
        renamed={"olden.kept.Old": "ptycho_config.ModelConfig",
                 "olden.went.Old": "ptycho_config.TrainingConfig"},
        gone={"olden.kept.lost": ("ptycho_config.to_dict", "ptycho_config.from_dict"),
              "olden.vanished": ("ptycho_config.params",),
              "olden.went.lost": ("ptycho_config.params.get",)},
    )  # fmt: skip
    folder = tmp_path / "olden"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "kept.py").write_text("here = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    table.install()
    import_module("olden.kept").__getattr__ = table.in_module("olden.kept")
    yield table
    for name in [name for name in sys.modules if name.split(".")[0] == "olden"]:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("module", "new"), [("kept", ptycho_config.ModelConfig), ("went", ptycho_config.TrainingConfig)]
)
@pytest.mark.usefixtures("moved")
def test_a_renamed_thing_is_the_new_one_and_warns_where_it_is_imported(module, new):
    with pytest.warns(DeprecationWarning, match=f"use ptycho_config.{new.__name__}") as caught:
        assert import_module(f"olden.{module}").Old is new
    assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.parametrize(
    ("line", "new"),
    [
        ("from olden.kept import lost", "ptycho_config.to_dict or ptycho_config.from_dict"),
        ("from olden.went import lost", "ptycho_config.params.get"),
        ("import olden.vanished", "ptycho_config.params"),
        ("from olden.vanished.deep import anything", "ptycho_config.params"),
    ],
)
@pytest.mark.usefixtures("moved")
def test_what_is_gone_names_its_successor(line, new):
    with pytest.raises(ImportError, match=f"is gone: use {new}") as caught:
        exec(line)  # noqa: S102 - the lines above
    assert isinstance(caught.value, MovedError)


@pytest.mark.usefixtures("moved")
def test_other_names_are_missing_as_ever():
    assert import_module("olden.kept").here == 1
    for name in ("olden.kept", "olden.went"):
        with pytest.raises(AttributeError, match="no attribute 'never'"):
            _ = import_module(name).never
    with pytest.raises(ModuleNotFoundError):
        import_module("olden.never")
    assert find_spec("olden.never") is None
