"""Networks of other packages: by the entry points ``ptycho.networks.pytorch``, and by class."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from ptycho_config.errors import InvalidValueError
from ptycho_core import networks
from ptycho_torch import reconstruct, train

EXAMPLE = Path(__file__).parents[1] / "examples" / "small_network.py"
CLASS = "small_network:SmallNetwork"
QUICK = {"n_filters_scale": 1, "nepochs": 2, "accelerator": "cpu", "progress": False}


@pytest.fixture
def forget(monkeypatch):
    """Return a call that makes this process forget the example, as a new one would not know it."""

    def call() -> None:
        monkeypatch.setattr(networks, "_TRUSTED", set())
        networks._installed.cache_clear()
        sys.modules.pop(EXAMPLE.stem, None)

    call()
    yield call
    call()


@pytest.fixture
def importable(forget, tmp_path, monkeypatch):  # noqa: ARG001 - a process that never saw it
    """Put the example where it can be imported, and return that folder."""
    folder = tmp_path / "site"
    folder.mkdir()
    shutil.copy(EXAMPLE, folder)
    monkeypatch.syspath_prepend(folder)
    return folder


def register(folder, forget):
    """Register the example as its installation would."""
    info = folder / "small-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: small\nVersion: 1.0\n")
    entry = f"[{networks.GROUP}.pytorch]\nsmall = {CLASS}\n"
    (info / "entry_points.txt").write_text(entry)
    forget()


def test_a_registered_network_trains_and_reconstructs(importable, forget, scan, tmp_path):
    register(importable, forget)
    made = train(scan, output=tmp_path / "model", architecture="small", **QUICK)
    assert made.execution.learning_rate == 2e-3
    assert made.bundle.config["model"]["architecture"] == "small"
    forget()
    result = reconstruct(tmp_path / "model", scan, progress=False)
    assert np.isfinite(result.object).all()
    assert result.r_factor < 1


def test_a_class_is_imported_for_a_reconstruction_only_if_the_caller_names_it(
    importable, forget, scan, tmp_path
):
    made = train(scan, output=tmp_path / "model", architecture=CLASS, **QUICK)
    expected = reconstruct(made, scan, progress=False).object
    forget()
    with pytest.raises(InvalidValueError) as caught:
        reconstruct(tmp_path / "model", scan, progress=False)
    assert (caught.value.name, caught.value.got) == ("architecture", repr(CLASS))
    assert EXAMPLE.stem not in sys.modules
    result = reconstruct(tmp_path / "model", scan, architecture=CLASS, progress=False)
    np.testing.assert_array_equal(result.object, expected)
    forget()
    register(importable, forget)
    again = reconstruct(tmp_path / "model", scan, progress=False)
    np.testing.assert_array_equal(again.object, expected)


@pytest.mark.usefixtures("importable")
@pytest.mark.parametrize(
    "architecture", ["absent_module:Network", "small_network:Absent", "small_network:FEATURES"]
)
def test_what_is_no_network_is_refused_before_the_training(scan, architecture):
    with pytest.raises(InvalidValueError) as caught:
        train(scan, architecture=architecture, **QUICK)
    assert caught.value.name == "architecture"
