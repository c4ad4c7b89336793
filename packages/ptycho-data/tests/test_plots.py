"""Scans, reconstructions and models as text, in a notebook, and as figures."""

import base64
import io
import re
import sys

import numpy as np
import pytest
from PIL import Image
from ptycho_config import MissingPackageError
from ptycho_data import Bundle, Reconstruction, Scan, load_scan, save_scan
from ptycho_data.plots import losses

N, NUMBER = 16, 12


@pytest.fixture
def scan():
    rng = np.random.default_rng(0)
    return Scan(
        diffraction=rng.poisson(5.0, (NUMBER, N, N)).astype(np.uint16),
        xcoords=np.arange(NUMBER) + 20.0,
        ycoords=np.arange(NUMBER) + 20.0,
        probe=np.ones((2, N, N), np.complex64),
        domain="counts",
        pixel_size_m=8e-9,
        photon_energy_ev=8800,
    )


@pytest.fixture
def rec(scan):
    return Reconstruction(
        object=np.ones((30, 40), np.complex64),
        coverage=np.ones((30, 40), np.float32),
        xcoords=scan.xcoords,
        ycoords=scan.ycoords,
        indices=np.arange(NUMBER),
        probe=scan.probe,
        origin=[0, 0],
        name="star",
        run={"command": "infer"},
    )


@pytest.fixture
def bundle():
    return Bundle(
        config={"model": {"architecture": "unrolled", "gridsize": 2}},
        probe=np.ones((1, N, N), np.complex64),
        weights={"a.weight": np.ones((3, 4), np.float32)},
        backend="pytorch",
        scaling={},
        history={"train_loss": [2.0, 1.0], "val_loss": [2.5, 1.5], "train_mae": [9.0, 8.0]},
    )


def picture(shown):
    """The picture in the HTML of an object."""
    (text,) = re.findall(r'src="data:image/png;base64,([^"]+)"', shown._repr_html_())
    assert len(text) < 80_000
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))).convert("L"))


def test_a_scan_is_one_line(scan):
    assert repr(scan) == (
        "<Scan: patterns 12 of 16 x 16, counts in uint16, probe 2 modes, object pixel 8 nm, "
        "energy 8.8 keV, photons>"
    )


def test_a_reconstruction_is_one_line(rec):
    assert repr(rec) == (
        "<Reconstruction: object 30 x 40 pixels, patterns 12, probe 2 modes of 16 x 16, "
        "scan star, made by infer>"
    )


def test_a_bundle_is_one_line(bundle):
    assert repr(bundle).startswith(
        "<Bundle: network unrolled, 12 weights, patterns 16 x 16, gridsize 2, probe 1 mode, "
        "trained 2 epochs with pytorch, created 2"
    )


@pytest.mark.parametrize(("name", "panels"), [("scan", 3), ("rec", 2), ("bundle", 3)])
def test_a_notebook_shows_picture_and_facts(request, name, panels):
    shown = request.getfixturevalue(name)
    assert np.ptp(picture(shown)) > 100
    places = ("left", "center")
    titles = [axes.get_title(loc=place) for axes in shown.plot().axes for place in places]
    titles = [title for title in titles if title]
    assert len(titles) == panels


def test_curves_count_epochs_from_one_and_show_the_losses_alone(bundle):
    curves = bundle.plot().axes[2].get_lines()
    assert [line.get_label() for line in curves] == ["train_loss", "val_loss"]
    assert [list(line.get_xdata()) for line in curves] == [[1, 2], [1, 2]]
    assert losses({"train_mae": [1.0]}) == {"train_mae": [1.0]}


def test_a_plot_leaves_nothing_open(rec):
    rec.plot()
    assert (
        "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()
    )


def test_without_matplotlib_the_facts_are_shown_and_plot_says_what_to_install(scan, monkeypatch):
    monkeypatch.setattr("ptycho_config.install.find_spec", lambda _: None)
    assert "<img" not in scan._repr_html_()
    assert "12 of 16 x 16" in scan._repr_html_()
    with pytest.raises(MissingPackageError):
        scan.plot()


def test_a_scan_whose_file_is_gone_is_still_shown(scan, tmp_path):
    path = tmp_path / "scan.h5"
    save_scan(path, scan)
    loaded = load_scan(path)
    path.unlink()
    assert "12 of 16 x 16" in repr(loaded)
    assert "12 of 16 x 16" in loaded._repr_html_()


def test_a_picture_reads_few_patterns(scan, monkeypatch):
    monkeypatch.setattr("ptycho_data.plots.AVERAGED_PATTERNS", 4)
    assert scan.plot().axes[0].get_title() == "Mean of 4 patterns"


def test_a_figure_is_a_picture_without_pyplot(scan):
    shown = Image.open(io.BytesIO(scan.plot()._repr_png_()))
    assert shown.format == "PNG"
    assert min(shown.size) > 200
    assert len(shown.getcolors(1 << 24)) > 50
