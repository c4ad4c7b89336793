"""Models of installed packages, by name in place of a path."""

import sys

import numpy as np
import pytest
from ptycho_config import ConfigError, InvalidValueError, MissingPackageError
from ptycho_core import pretrained, reconstruct, solve_scan, train
from ptycho_core.pretrained import card, find_model, located, model_names
from ptycho_core.testing import FakeBackend, registered, simulated_scan
from ptycho_data import BundleError


@pytest.fixture(scope="module")
def scan():
    return simulated_scan()


@pytest.fixture
def fake():
    with registered(FakeBackend(name="pytorch")) as backend:
        yield backend


@pytest.fixture
def installed(fake, scan, tmp_path, monkeypatch):  # noqa: ARG001 - trains the model
    """Install a package with the models `beamline7` and `broken`; return the bundle's folder."""
    site = tmp_path / "site"
    trained = train(scan, output=site / "our_models" / "seven")
    (trained.path.parent / "card.md").write_text("# beamline7\n")
    (site / "our_models" / "__init__.py").write_text(
        "from pathlib import Path\nSEVEN = Path(__file__).with_name('seven')\n"
    )
    info = site / "our_models-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: our-models\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(
        "[ptycho.models]\nbeamline7 = our_models:SEVEN\nbroken = our_models:NINE\n"
    )
    monkeypatch.syspath_prepend(site)
    pretrained._installed.cache_clear()
    yield trained.path.parent
    pretrained._installed.cache_clear()
    sys.modules.pop("our_models", None)


def test_a_model_is_found_by_its_name(installed):
    assert {"beamline7", "broken"} <= set(model_names())
    found = find_model("beamline7")
    assert found.path == installed
    assert str(found) == "beamline7 (our-models 1.2)"
    assert card(found.path) == card(found.path / "wts.h5.zip") == "# beamline7"
    with pytest.raises(MissingPackageError, match="NINE"):
        find_model("broken")
    with pytest.raises(InvalidValueError, match="beamline7") as refused:
        find_model("beamline8")
    assert refused.value.name == "model"


def test_what_is_on_disk_comes_before_a_name(installed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert located("beamline7") == installed
    (tmp_path / "beamline7").mkdir()
    assert str(located("beamline7")) == "beamline7"
    assert str(located("unknown")) == "unknown"


@pytest.mark.usefixtures("installed")
def test_a_name_stands_for_a_path_in_every_call(fake, scan, tmp_path):
    result = reconstruct("beamline7", scan, output=tmp_path / "r")
    assert '"weights' in (tmp_path / "r" / "run.json").read_text() or result.path is not None
    train(scan, start="beamline7")
    assert fake.trainings[-1]["start_name"] == "seven"
    solved = solve_scan(scan, start="beamline7", epochs=1, output=tmp_path / "s")
    cold = solve_scan(scan, epochs=1)
    assert solved.metrics["r_factor"] < cold.metrics["r_factor"]
    np.testing.assert_array_equal(fake.reconstructions[-1]["scan"].positions, scan.positions)
    record = (tmp_path / "s" / "run.json").read_text()
    assert "r_factor_network" in record
    with pytest.raises(BundleError, match="no such bundle"):
        reconstruct("beamline8", scan)


def test_the_universal_model_says_how_it_is_installed(monkeypatch):
    monkeypatch.setattr(pretrained, "_installed", dict)
    with pytest.raises(MissingPackageError, match="ptycho-pretrained"):
        find_model("universal")


def test_a_card_is_a_short_text(tmp_path):
    assert card(tmp_path) == ""
    (tmp_path / "card.md").write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidValueError, match="UTF-8"):
        card(tmp_path)
    (tmp_path / "card.md").write_bytes(b"a" * 70_000)
    with pytest.raises(ConfigError, match="at most"):
        card(tmp_path)
