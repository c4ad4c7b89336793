import numpy as np
import pytest
from ptycho_physics._shapes import blur, offsets, resize, soft_step, unit


def test_offsets_are_zero_at_the_centre_and_grow_along_their_axis():
    x, y = offsets((5, 7), (3, 2))
    assert x.shape == (1, 7)
    assert y.shape == (5, 1)
    assert x[0, 3] == 0
    assert y[2, 0] == 0
    assert x[0, 6] == 3


def test_soft_step_is_half_at_its_edge_and_symmetric():
    distance = np.linspace(-2, 2, 41)
    step = soft_step(distance, 2.0)
    assert step[20] == 0.5
    np.testing.assert_allclose(step + step[::-1], 1, atol=1e-15)
    assert step[0] == 0
    assert step[-1] == 1


def test_blur_of_a_point_is_a_gaussian_and_flat_stays_flat():
    point = np.zeros((21, 23))
    point[10, 11] = 1
    y, x = np.indices(point.shape)
    expected = np.exp(-((x - 11) ** 2 + (y - 10) ** 2) / (2 * 1.5**2)) / (2 * np.pi * 1.5**2)
    np.testing.assert_allclose(blur(point, 1.5), expected, atol=1e-5)
    np.testing.assert_allclose(blur(np.full((9, 9), 2.0), 1.5), 2.0)


def test_unit_of_a_flat_map_is_zero():
    assert not np.any(unit(np.full((3, 3), 7.0)))
    np.testing.assert_array_equal(unit(np.array([2.0, 3.0, 4.0])), [0, 0.5, 1])


@pytest.mark.parametrize("shape", [(7, 30), (20, 10), (40, 60)])
def test_resize_keeps_a_flat_picture_flat(shape):
    np.testing.assert_allclose(resize(np.full((20, 30), 3.0), shape), 3.0)


def test_resize_keeps_a_linear_ramp_away_from_the_border():
    ramp = np.tile(np.arange(32.0), (16, 1))
    half = resize(ramp, (8, 16))
    np.testing.assert_allclose(half[4, 2:-2], 2 * np.arange(16)[2:-2] + 0.5)


def test_resize_averages_what_it_cannot_show():
    stripes = np.tile([0.0, 1.0], (32, 16))
    np.testing.assert_allclose(resize(stripes, (8, 8))[:, 1:-1], 0.5, atol=1e-12)
