"""Phases without jumps of 2 pi."""

import subprocess
import sys

import numpy as np
import pytest
from ptycho_config import MissingPackageError
from ptycho_data import Reconstruction, views
from ptycho_data.unwrapping import require_unwrapping, unwrapped

SIDE = 160


@pytest.fixture
def thick():
    """Phase of a lens and of ridges, 17 rad high, whose rim has more noise than signal."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE - 0.5
    radius = np.hypot(x, y)
    phase = 14 * np.exp(-18 * radius**2) + 3 * np.sin(9 * x) * np.cos(7 * y)
    noise = rng.normal(size=(SIDE, SIDE, 2)) @ (1, 1j) * np.where(radius > 0.42, 1.0, 0.02)
    field = (np.exp(1j * phase) + noise).astype(np.complex64)
    return phase, field, radius < 0.47, radius < 0.41


def test_a_phase_of_several_turns_comes_back_up_to_a_constant(thick):
    phase, field, mask, inner = thick
    found = unwrapped(np.angle(field), mask)
    difference = (found - phase)[inner]
    difference -= np.median(difference)
    assert np.ptp(np.angle(np.exp(1j * phase))) < np.ptp(phase[inner]) / 2  # it was wrapped
    assert np.abs(difference).max() < 0.3
    turns = (found - np.angle(field)) / (2 * np.pi)
    np.testing.assert_allclose(turns, np.round(turns), atol=1e-5)  # nothing is smoothed
    np.testing.assert_array_equal(found[~mask], np.angle(field)[~mask])


def test_parts_that_do_not_touch_and_an_empty_mask():
    phase = np.angle(np.exp(1j * np.linspace(0, 20, 60)))[None] * np.ones((9, 1))
    mask = np.ones(phase.shape, bool)
    mask[:, 28:32] = False
    found = unwrapped(phase, mask)
    for part in (found[:, :28], found[:, 32:]):
        np.testing.assert_allclose(np.diff(part, axis=1), 20 / 59, atol=1e-6)
    np.testing.assert_array_equal(unwrapped(phase, np.zeros_like(mask)), phase)


def test_views_show_all_turns_around_zero_and_say_so(thick):
    phase, field, mask, inner = thick
    coverage = mask.astype(np.float32)
    _, wrapped = views.object_views(field, coverage)
    _, shown = views.object_views(field, coverage, unwrap=True)
    assert wrapped.colours == "twilight_shifted"
    assert (shown.colours, shown.note) == ("viridis", "phase unwrapped")
    assert np.ptp(shown.limits) > 0.9 * np.ptp(phase[inner])
    assert abs(shown.image.mean()) < 1e-3
    assert views.object_views(field, coverage, level=True, unwrap=True)[1].note.endswith(
        "removed for display; phase unwrapped"
    )


def test_plot_unwraps_the_picture_alone(thick):
    _, field, mask, _ = thick
    rec = Reconstruction(
        object=field,
        coverage=mask.astype(np.float32),
        xcoords=[30.0, 130.0],
        ycoords=[30.0, 130.0],
        indices=[0, 1],
        probe=np.ones((1, 64, 64), np.complex64),
        origin=[0, 0],
    )
    spans, captions = [], []
    for unwrap in (False, True):
        figure = rec.plot(unwrap=unwrap)
        spans.append(float(np.ma.ptp(figure.axes[1].images[0].get_array())))
        captions.append(figure.get_supxlabel())
    assert spans[0] <= 2 * np.pi < 10 < spans[1]
    assert ["phase unwrapped" in text for text in captions] == [False, True]
    np.testing.assert_array_equal(rec.object, field)


def test_without_the_package_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setattr("ptycho_config.install.find_spec", lambda _: None)
    with pytest.raises(MissingPackageError, match=r"scikit-image.*ptycho-data\[unwrap\]"):
        require_unwrapping()
    with pytest.raises(MissingPackageError):
        views.object_views(np.ones((4, 4), np.complex64), unwrap=True)


def test_the_package_is_imported_where_it_is_needed_alone():
    code = "import sys, ptycho_data.views, ptycho_data.plots; sys.exit('skimage' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0  # noqa: S603
