import numpy as np
import pytest
from ptycho_physics.probe_sampling import resample_image


def wave(rows, columns, shape):
    """A periodic image with few frequencies, at any places (row, column)."""
    y, x = 2 * np.pi * rows / shape[0], 2 * np.pi * columns / shape[1]
    return 1 + np.exp(2j * x) * np.cos(3 * y) + 0.5j * np.sin(x - 2 * y)


@pytest.mark.parametrize("shape", [(30, 41), (31, 40)])
@pytest.mark.parametrize(("first", "step"), [((3, 5), 1.0), ((2.25, 4.5), 1.0), ((1.5, 2.0), 0.4)])
def test_a_periodic_image_is_resampled_exactly(shape, first, step):
    rows, columns = np.arange(shape[0])[:, None], np.arange(shape[1])
    image = wave(rows, columns, shape)
    found = resample_image(image, (20, 22), first=first, step=step)
    there = first[0] + step * np.arange(20)[:, None], first[1] + step * np.arange(22)
    np.testing.assert_allclose(found, wave(*there, shape), atol=2e-6)


def test_what_coarser_pixels_cannot_hold_is_removed_and_outside_is_zero():
    fine = np.exp(
        2j * np.pi * 0.4 * np.arange(40)
    )  # more than half a turn of a pixel twice as wide
    image = 1 + fine * np.ones((40, 1))
    found = resample_image(image, (20, 24), first=(0, 0), step=2.0)
    np.testing.assert_allclose(found[:, :20], 1, atol=1e-5)
    np.testing.assert_array_equal(found[:, 21:], 0)
