import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ptycho_data._grouping import nearest


def brute(points, k):
    """Order by distance, then index, the seed first; by comparing everything with everything."""
    offset = points[:, np.newaxis] - points
    squared = offset[..., 0] * offset[..., 0] + offset[..., 1] * offset[..., 1]
    np.fill_diagonal(squared, -1)
    return np.argsort(squared, axis=1, kind="stable")[:, :k]


@given(st.integers(2, 60), st.integers(1, 5), st.integers(0, 2**32 - 1), st.data())
def test_agrees_with_brute_force_on_ties_and_coincidences(n, span, seed, data):
    rng = np.random.default_rng(seed)
    points = rng.integers(0, span, (n, 2)) * data.draw(st.sampled_from([1.0, 0.1, 3.3]))
    k = data.draw(st.integers(1, n))
    seeds = rng.integers(0, n, data.draw(st.integers(1, 5)))
    np.testing.assert_array_equal(nearest(points, k, seeds), brute(points, k)[seeds])


def test_raster_ties_go_by_index():
    y, x = np.divmod(np.arange(25), 5)
    points = np.stack([x, y], axis=1) * 0.25
    np.testing.assert_array_equal(nearest(points, 4, np.array([12])), [[12, 7, 11, 13]])


def test_thousands_at_one_place_are_an_error():
    points = np.zeros((9000, 2))
    points[0] = 1
    with pytest.raises(ValueError, match="equally far"):
        nearest(points, 4, np.arange(3))
