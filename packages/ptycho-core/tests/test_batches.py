import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ptycho_config.errors import InvalidValueError
from ptycho_core.batches import TEAM_SIZES, places_in_step, spatial_batches, teams_apart


def spread(batches, points):
    """Mean distance of members from the centre of their batch."""
    return np.mean([np.linalg.norm(points[b] - points[b].mean(0), axis=1).mean() for b in batches])


@given(st.integers(0, 300), st.integers(1, 40), st.integers(0, 2**32 - 1), st.integers(1, 100))
def test_partition_into_full_batches(n, size, seed, distinct):
    points = np.random.default_rng(seed).integers(0, distinct, (n, 2))
    batches = spatial_batches(points, size, seed)
    lengths = [len(batch) for batch in batches]
    np.testing.assert_array_equal(np.sort(np.concatenate([*batches, []])), np.arange(n))
    assert lengths.count(size) >= len(lengths) - 1
    assert len(lengths) == -(-n // size)
    again = spatial_batches(points, size, seed)
    assert all(np.array_equal(a, b) for a, b in zip(batches, again, strict=True))


@pytest.mark.parametrize("extent", [(1.0, 1.0), (1.0, 8.0)])
@pytest.mark.parametrize("size", [16, 50])
def test_batches_are_compact(extent, size):
    points = np.random.default_rng(0).random((1600, 2)) * extent
    # Mean distance from the centre of a square with area A is 0.3826 sqrt(A).
    ideal = 0.3826 * np.sqrt(extent[0] * extent[1] * size / len(points))
    found = [spread(spatial_batches(points, size, (0, epoch)), points) for epoch in range(8)]
    assert max(found) < 1.4 * ideal
    order = np.random.default_rng(1).permutation(1600)
    assert max(found) < spread(np.split(order, 1600 // size), points) / 3


def test_epochs_cut_elsewhere_and_mix_all_neighbours():
    y, x = np.divmod(np.arange(400), 20)
    points = np.stack([x, y], axis=1)
    together = np.zeros((400, 400), bool)
    for epoch in range(30):
        for batch in spatial_batches(points, 16, (3, epoch)):
            together[np.ix_(batch, batch)] = True
    right = [together[i, i + 1] for i in range(399) if x[i] < 19]
    assert np.mean(right) > 0.99  # no pair of neighbours stays separated for long


def test_a_line_scan_is_cut_into_segments():
    points = np.stack([np.arange(60.0), np.zeros(60)], axis=1)
    for seed in range(5):
        assert all(np.ptp(batch) == 9 for batch in spatial_batches(points, 10, seed))


def test_equal_positions_are_still_batched():
    assert len(spatial_batches(np.zeros((10, 2)), 3)) == 4


@pytest.mark.parametrize(
    ("points", "size", "name"),
    [(np.zeros((3, 3)), 2, "positions"), ([[np.nan, 0]], 1, "positions"), ([[0, 0]], 0, "size")],
)
def test_impossible_arguments_are_named(points, size, name):
    with pytest.raises(InvalidValueError) as caught:
        spatial_batches(points, size)
    assert caught.value.name == name


@given(st.integers(1, 40), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_teams_lie_apart_and_keep_their_shape(groups, members, seed):
    points = np.random.default_rng(seed).uniform(-300, 300, (groups, members, 2))
    apart = teams_apart(points, 65, seed)
    np.testing.assert_array_equal(apart, teams_apart(points, 65, seed))
    team = [
        np.abs((apart - one) - (points - other)).max(axis=(1, 2)) < 1e-9
        for one, other in zip(apart, points, strict=True)
    ]
    sizes = np.sum(team, axis=1)
    assert len(set(sizes)) <= 2  # one team is smaller where they do not divide
    assert sizes.max() in TEAM_SIZES or groups < max(TEAM_SIZES)
    y = apart[..., 1]
    strangers = np.abs(y[:, :, None, None] - y[None, None]).min(axis=(1, 3))
    assert (strangers[~np.array(team)] >= 65).all()


def test_teams_of_a_large_batch_are_neighbours():
    points = np.random.default_rng(0).uniform(0, 600, (256, 1, 2))
    measured = np.linalg.norm(points - points[:, 0][None], axis=-1)
    distances = []
    for seed in range(12):
        apart = teams_apart(points, 65, seed)
        kept = np.abs(np.linalg.norm(apart - apart[:, 0][None], axis=-1) - measured) < 1e-9
        np.testing.assert_array_less(kept.sum(axis=1), 5)
        distances += measured[kept & (measured > 0)].tolist()
    assert np.mean(distances) < measured.mean() / 3


def test_who_overlaps_nobody_lies_at_a_whole_pixel():
    where = np.array([[3.25, 1.5], [3.25 + 66.5, 1.5], [40.125, 200.75], [80.5, 210.25]])[:, None]
    plain = places_in_step(where, 64, together=False)
    assert plain.dtype == np.float32
    np.testing.assert_array_equal(plain, np.zeros((4, 1, 2)))
    found = places_in_step(where, 64, together=True)[:, 0]
    np.testing.assert_array_equal(found[:2], [[0, 0], [66, 0]])
    np.testing.assert_allclose(found[2:], [[36.875, 199.25], [77.25, 208.75]])
    near = np.random.default_rng(0).uniform(0, 50, (5, 4, 2)) + 300
    kept = places_in_step(near, 64, together=True)
    np.testing.assert_allclose(kept, near - near.min(axis=(0, 1)), atol=1e-4)
    alike = places_in_step(near, 64, together=False, padding=1)
    np.testing.assert_array_equal(alike[5], alike[4])


def test_a_batch_is_split_into_teams_of_every_size():
    points = np.random.default_rng(0).uniform(0, 50, (8, 1, 2))
    found = set()
    for seed in range(30):
        y = np.sort(teams_apart(points, 65, seed)[:, 0, 1])
        found.add(8 // (1 + np.count_nonzero(np.diff(y) >= 65)))
    assert found == {1, 2, 4}
