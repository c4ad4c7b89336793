import hashlib
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ptycho_config.errors import InvalidValueError
from ptycho_data import group_positions, places, subsample
from scipy.spatial.distance import cdist


def raster(rows, columns, step=3.0):
    y, x = np.divmod(np.arange(rows * columns), columns)
    return np.stack([x, y], axis=1) * step


@st.composite
def scans(draw):
    n = draw(st.integers(9, 60))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    points = rng.integers(0, 12, (n, 2)) * 1.5 if draw(st.booleans()) else rng.normal(size=(n, 2))
    points[0] += 1e3  # never all equal
    return points


@given(scans(), st.sampled_from([2, 3]), st.data())
def test_properties_of_groups(points, gridsize, data):
    n, C = len(points), gridsize**2
    K = data.draw(st.integers(C, n))
    B = data.draw(st.integers(1, n))
    groups = group_positions(points, gridsize, n_groups=B, neighbor_count=K, seed=B)
    assert groups.shape == (B, C)
    assert groups.dtype == np.int64
    assert groups.min() >= 0
    assert groups.max() < n
    assert (np.diff(np.sort(groups, axis=1), axis=1) > 0).all()  # distinct within a group
    assert (np.diff(groups[:, 0]) > 0).all()  # seeds drawn without replacement, in order
    place = places(points)
    if C <= len(set(place)) < n:
        assert all(len(set(place[group])) == C for group in groups)
        return
    distance = cdist(points, points)
    reach = np.sort(distance, axis=1)[:, K - 1]  # K nearest, the seed counted
    assert (distance[groups[:, :1], groups] <= reach[groups[:, :1]] * (1 + 1e-9)).all()
    again = group_positions(points, gridsize, n_groups=B, neighbor_count=K, seed=B)
    np.testing.assert_array_equal(groups, again)


def test_every_position_is_a_seed_when_all_groups_are_wanted():
    for gridsize in (1, 2, 3):
        groups = group_positions(raster(6, 7), gridsize, neighbor_count=12)
        np.testing.assert_array_equal(groups[:, 0], np.arange(42))


def test_single_shot_is_trivial_and_needs_no_neighbours():
    np.testing.assert_array_equal(group_positions([[0, 0], [1, 1]], 1), [[0], [1]])
    np.testing.assert_array_equal(group_positions([[5, 5]], 1), [[0]])


def test_groups_are_pinned_for_every_platform():
    groups = group_positions(raster(5, 6), 2, n_groups=4, neighbor_count=7, seed=11)
    np.testing.assert_array_equal(
        groups, [[0, 6, 7, 8], [3, 4, 10, 1], [6, 0, 13, 8], [29, 23, 27, 16]]
    )


def test_a_group_has_each_place_once():
    # Four exposures at each stop of a raster, read with an encoder.
    stops = np.repeat(raster(6, 8, step=5.0), 4, axis=0)
    points = stops + np.random.default_rng(0).normal(scale=0.05, size=stops.shape)
    groups = group_positions(points, 2, neighbor_count=7)
    assert (groups[:, 0] == np.arange(192)).all()
    assert all(len(set(group // 4)) == 4 for group in groups)
    apart = np.linalg.norm(points[groups] - points[groups[:, :1]], axis=2)
    assert 4.5 < np.median(apart[:, 1:]) < 8  # neighbouring stops
    assert set(groups.ravel()) == set(range(192))  # all exposures are used


def test_one_place_is_repeated_if_there_are_too_few():
    groups = group_positions(np.repeat([[0.0, 0.0], [5.0, 0.0]], 4, axis=0), 2)
    assert groups.shape == (8, 4)


@pytest.mark.parametrize(
    ("kind", "arguments", "digest"),
    [
        ("raster", {"gridsize": 2, "neighbor_count": 7}, "146ca518ff348bce"),
        ("raster", {"gridsize": 3, "neighbor_count": 20, "n_groups": 5000}, "8a19e734b8679529"),
        ("jittered", {"gridsize": 2, "neighbor_count": 7, "seed": 5}, "fd991123020cf717"),
        (
            "jittered",
            {"gridsize": 2, "neighbor_count": 6, "n_groups": 50_000, "oversample": True},
            "efe21e15136435a1",
        ),
        (
            "coinciding",
            {"gridsize": 2, "neighbor_count": 9, "sequential": True},
            "57d8a0d6dd849ee8",
        ),
    ],
)
def test_many_groups_are_the_same_everywhere(kind, arguments, digest):
    # Neither ties nor sorts, random numbers or blocks of work may depend on machine or library.
    points = raster(180, 220)
    if kind == "jittered":
        points = points + np.random.default_rng(1).random(points.shape)
    if kind == "coinciding":
        points = points // 9  # three in one place, in each direction
    groups = group_positions(points, **arguments)
    found = hashlib.sha256(groups.astype("<i8").tobytes()).hexdigest()
    assert found[:16] == digest


def test_smallest_pool_is_the_nearest_neighbours():
    points = np.array([[0, 0], [1, 0], [0, 2], [3, 0], [9, 9], [9, 8]])
    for K in (3, 4):  # without and with the seed counted
        groups = group_positions(points, 2, n_groups=1, sequential=True, neighbor_count=K)
        np.testing.assert_array_equal(groups, [[0, 1, 2, 3]])


def test_sequential_takes_the_first_and_random_spreads():
    points = raster(20, 20)
    first = group_positions(points, 2, n_groups=30, sequential=True)
    np.testing.assert_array_equal(first[:, 0], np.arange(30))
    spread = group_positions(points, 1, n_groups=30, seed=1)[:, 0]
    assert spread.max() > 300
    assert not np.array_equal(spread, group_positions(points, 1, n_groups=30, seed=2)[:, 0])


def test_draws_are_uniform_over_the_neighbours():
    points = np.array([[0, 0], [1, 0], [2, 0], [3, 0], [4, 0], [5, 0]])
    hits = np.zeros(6)
    for seed in range(400):
        hits[
            group_positions(points, 2, n_groups=1, sequential=True, neighbor_count=6, seed=seed)
        ] += 1
    assert hits[0] == 400
    # Each of five is drawn with probability 3/5: five standard deviations around 240.
    assert np.abs(hits[1:] - 240).max() < 5 * math.sqrt(400 * 0.6 * 0.4)


@pytest.mark.parametrize("sequential", [False, True])
@pytest.mark.parametrize(("K", "wanted"), [(5, 60), (7, 100), (20, 90)])
def test_oversampled_groups_are_distinct_as_long_as_they_last(K, wanted, sequential):
    groups = group_positions(raster(5, 6), 2, n_groups=wanted, neighbor_count=K, oversample=True,
                             sequential=sequential)  # fmt: skip
    assert groups.shape == (wanted, 4)
    assert len(np.unique(np.sort(groups, axis=1), axis=0)) == wanted
    assert len(np.unique(groups[:30, 0])) >= 20  # all seeds first, but for equal groups


def test_oversampling_beyond_all_combinations_repeats_all_of_them():
    points = raster(2, 3)
    groups = group_positions(points, 2, n_groups=100, neighbor_count=6, oversample=True)
    distinct, repeats = np.unique(np.sort(groups, axis=1), axis=0, return_counts=True)
    assert len(distinct) == math.comb(6, 4)
    assert repeats.max() - repeats.min() <= 1


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"gridsize": 0}, "gridsize"),
        ({"n_groups": 0}, "n_groups"),
        ({"n_groups": 13}, "n_groups"),
        ({"neighbor_count": 2}, "neighbor_count"),
        ({"neighbor_count": 13}, "neighbor_count"),
        ({"positions": np.ones((12, 2))}, "positions"),
        ({"positions": np.ones((12, 3))}, "positions"),
        ({"positions": [[0, 0], [np.nan, 1]]}, "positions"),
    ],
)
def test_impossible_arguments_are_named(arguments, name):
    with pytest.raises(InvalidValueError) as caught:
        group_positions(**({"positions": raster(3, 4), "gridsize": 2} | arguments))
    assert caught.value.name == name


def test_no_seed_means_another_draw():
    points = raster(30, 30)
    draws = [group_positions(points, 2, neighbor_count=8, seed=None) for _ in range(2)]
    assert not np.array_equal(*draws)


@given(st.integers(1, 200), st.data())
def test_subsample(n, data):
    k = data.draw(st.integers(1, n))
    chosen = subsample(n, k, seed=5)
    assert len(chosen) == k
    assert (np.diff(chosen) > 0).all()
    assert chosen[0] >= 0
    assert chosen[-1] < n
    np.testing.assert_array_equal(chosen, subsample(n, k, seed=5))
    np.testing.assert_array_equal(subsample(n, None), np.arange(n))


def test_subsample_of_too_many():
    with pytest.raises(InvalidValueError, match="n_subsample"):
        subsample(5, 6)
