import numpy as np
import pytest
from ptycho_data import places

RASTER = np.stack(np.divmod(np.arange(400), 20), axis=1) * 4.0


@pytest.mark.parametrize("jitter", [0.0, 0.05])
@pytest.mark.parametrize("scale", [1.0, 1e-6])
def test_repeated_exposures_are_one_place(jitter, scale):
    noise = np.random.default_rng(0).normal(scale=jitter, size=(1200, 2))
    found = places((np.tile(RASTER, (3, 1)) + noise) * scale)
    np.testing.assert_array_equal(found, np.tile(np.arange(400), 3))


def test_places_are_numbered_in_order():
    np.testing.assert_array_equal(places([[9, 0], [1, 1], [9, 0], [0, 0]]), [0, 1, 0, 2])
    np.testing.assert_array_equal(places(np.zeros((5, 2))), np.zeros(5))


def test_small_steps_are_places_of_their_own():
    # A continuous motion along rows that are far apart.
    x, y = np.meshgrid(np.arange(200) * 0.1, np.arange(20) * 10.0)
    assert places(np.stack([x.ravel(), y.ravel()], axis=1)).max() == 3999
    assert places(np.stack([x[0], 0 * x[0]], axis=1)).max() == 199
    assert places(RASTER * 1e-3).max() == 399  # in another unit


def test_an_outlier_changes_nothing():
    points = np.concatenate([RASTER, [[1e7, 0]]])
    assert places(points).max() == 400


def test_few_positions_coincide_by_chance():
    points = np.random.default_rng(1).uniform(0, 100, (1000, 2))
    assert places(points).max() > 970
