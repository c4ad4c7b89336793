"""What pictures of objects show."""

import math

import numpy as np
import pytest
from ptycho_data import views


@pytest.fixture
def field():
    y, x = np.mgrid[:40, :60]
    return ((1 + 0.2 * np.sin(x / 5)) * np.exp(0.5j * np.cos(y / 4))).astype(np.complex64)


def test_limits_ignore_outliers():
    values = np.linspace(0, 1, 10_000)
    values[0], values[1] = 1e9, np.nan
    low, high = views.robust_limits(values)
    assert 0 < low < 0.01
    assert 0.99 < high < 1


def test_limits_of_flat_and_empty_images():
    low, high = views.robust_limits(np.full(10, 3.0))
    assert low < 3 < high
    assert views.robust_limits(np.array([])) == (0.0, 1.0)


def test_views_mask_what_is_not_covered_and_crop_to_the_rest(field):
    coverage = np.zeros(field.shape)
    coverage[10:20, 5:25] = 1
    coverage[12, 7] = 0
    coverage[0, 0] = 1e-3  # lit, but hardly
    amplitude, phase = views.object_views(field, coverage, origin=(100, 200))
    assert amplitude.image.shape == phase.image.shape == (10, 20)
    assert amplitude.image.mask.sum() == 1
    assert amplitude.image.mask[2, 2]
    # Pixel centres lie at whole numbers of the object grid.
    assert amplitude.extent == (104.5, 124.5, 219.5, 209.5)


def test_large_objects_are_averaged_over_blocks(field, monkeypatch):
    coverage = np.ones(field.shape)
    coverage[:5, :4] = 0  # five rows of the first block of six by six
    coverage[:, 59] = 0
    whole = views.object_views(field, coverage, origin=(100, 200))
    monkeypatch.setattr(views, "LONGEST_SIDE", 10)
    amplitude, phase = views.object_views(field, coverage, origin=(100, 200))
    assert amplitude.image.shape == phase.image.shape == (7, 10)  # 40 x 59 pixels, 6 x 6 each
    assert amplitude.extent == (99.5, 159.5, 241.5, 199.5)
    assert np.argwhere(amplitude.image.mask[:6]).tolist() == [[0, 0]]
    inner = np.s_[6:36, 6:54]
    for small, large in zip((amplitude, phase), whole, strict=True):
        expected = large.image.data[inner].reshape(5, 6, 8, 6).mean(axis=(1, 3))
        # Means of the phase and of phasors differ by its spread within a block, cubed.
        np.testing.assert_allclose(small.image.data[1:6, 1:9], expected, atol=0.06)
    expected = np.abs(field[36:40, 6:12]).mean()  # an incomplete block
    assert amplitude.image.data[6, 1] == pytest.approx(expected, rel=1e-5)


def test_amplitude_survives_a_steep_phase(monkeypatch):
    monkeypatch.setattr(views, "LONGEST_SIDE", 10)
    steep = np.exp(1j * np.arange(40) * 1.5) * np.ones((40, 1))
    amplitude, _ = views.object_views(steep)
    np.testing.assert_allclose(amplitude.image, 1, rtol=1e-6)


def test_phase_is_centred_and_perceptual(field):
    _, phase = views.object_views(field * np.exp(2.5j))
    assert phase.colours == "viridis"
    assert -0.6 < phase.limits[0] < phase.limits[1] < 0.6


def test_phase_around_the_circle_is_cyclic():
    ramp = np.exp(1j * np.linspace(0, 40, 1000)).reshape(10, 100)
    _, phase = views.object_views(ramp)
    assert phase.limits == (-math.pi, math.pi)
    assert phase.colours == "twilight_shifted"


def test_all_runs_of_a_scan_show_the_same_frame(field):
    """Whatever the coverage, which depends on probe and method."""
    area = views.ScannedArea.of(np.array([[120.0, 215.5], [140.2, 215.5], [130.0, 225.0]]), 16)
    assert area.frame == (116, 211, 146, 230)
    weak = np.zeros(field.shape)
    weak[18:22, 25:35] = 1
    for coverage in (None, np.ones(field.shape), weak):
        for view in views.object_views(field, coverage, (100, 200), area=area):
            assert view.extent == (115.5, 145.5, 229.5, 210.5)
            assert view.image.shape == (19, 30)


def test_an_area_beyond_the_object_shows_what_is_covered(field):
    area = views.ScannedArea.of(np.array([[1000.0, 1000.0]]), 16)
    assert views.object_views(field, area=area)[0].image.shape == field.shape


def test_outline_contains_all_positions():
    rng = np.random.default_rng(1)
    positions = rng.normal(size=(500, 2)) * (30, 10)
    corners = views.ScannedArea.of(positions, 64).outline
    assert 6 <= len(corners) < 64
    edges = np.roll(corners, -1, axis=0) - corners
    to = positions[:, None] - corners[None]
    side = edges[:, 0] * to[..., 1] - edges[:, 1] * to[..., 0]
    outside = (side < -0.02 * np.hypot(*edges.T) * np.ptp(positions)).any(axis=1)
    assert not outside.any()


def test_contrast_is_that_between_the_positions(field):
    """At the rim, which little light reaches, noise would take all colours."""
    area = views.ScannedArea.of(np.array([[20.0, 12.0], [40.0, 28.0]]), 64)
    wild = field.copy()
    wild[:, :8] *= 1e3
    calm, rim = (views.object_views(values, area=area)[0].limits for values in (field, wild))
    assert rim == pytest.approx(calm)


@pytest.mark.parametrize("side", [1200, 20])
def test_ramp_is_removed_for_display_alone(field, side):
    y, x = np.mgrid[:40, :60]
    tilted = (field * np.exp(1j * (0.7 * x - 1.1 * y))).astype(np.complex64)
    before = tilted.copy()
    flat = views.object_views(field, level=True, longest_side=side)[1]
    level = views.object_views(tilted, level=True, longest_side=side)[1]
    np.testing.assert_allclose(level.image, flat.image, atol=2e-3)
    assert "ramp (0.7" in level.note
    assert "-1.1" in level.note
    assert views.object_views(tilted)[1].note == ""
    np.testing.assert_array_equal(tilted, before)
