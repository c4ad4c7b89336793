import numpy as np
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from ptycho_config import InferenceConfig, ModelConfig, TrainingConfig
from ptycho_config.errors import InvalidValueError
from ptycho_core.sampling import (
    covering_groups,
    inference_groups,
    inference_steps,
    split_validation,
    training_groups,
    with_photons,
    with_positions,
)
from ptycho_data import Scan


@given(n=st.integers(4, 60), gridsize=st.integers(1, 2), seed=st.integers(0, 9))
def test_every_position_is_covered_and_hardly_any_twice(n, gridsize, seed):
    size = gridsize**2
    positions = np.random.default_rng(seed).uniform(0, 100, (n, 2))
    groups = covering_groups(positions, size, seed=seed)
    assert groups.shape == (-(-n // size), size)
    assert set(groups.ravel()) == set(range(n))
    assert all(len(set(group)) == size for group in groups)
    assert (np.diff(groups.min(axis=1)) >= 0).all()


def test_groups_are_compact_with_the_middle_first():
    positions = np.stack(np.meshgrid(np.arange(20.0), np.arange(20.0)), axis=-1).reshape(-1, 2)
    groups = positions[covering_groups(positions, 9)]
    spread = np.linalg.norm(groups - groups.mean(axis=1, keepdims=True), axis=2)
    assert spread.mean() < 2  # of nine in a square: 1.07
    away = np.linalg.norm(groups - groups[:, :1], axis=2)
    assert (np.diff(away, axis=1) >= -1e-9).all()
    assert spread[:, 0].mean() < 0.6 * spread.mean()


def test_a_group_has_each_place_once():
    stops = np.stack(np.meshgrid(np.arange(6.0), np.arange(6.0)), axis=-1).reshape(-1, 2) * 5
    positions = np.concatenate([stops + shift for shift in (0, 0.05, -0.05)])
    groups = covering_groups(positions, 4)
    assert sorted(groups.ravel()) == list(range(108))
    assert all(len(set(group % 36)) == 4 for group in groups)
    away = np.linalg.norm(positions[groups] - positions[groups[:, :1]], axis=2)
    assert away.max() < 20


def test_groups_keep_to_one_scan(scan):
    numbered = evolve(scan, scan_index=np.repeat([4, 9], 24))
    config = TrainingConfig(model=ModelConfig(N=64, gridsize=2), neighbor_count=7)
    groups = training_groups(numbered, config)
    assert groups.shape == (48, 4)
    index = numbered.scan_index[groups]
    assert (index == index[:, :1]).all()
    few = training_groups(numbered, evolve(config, n_groups=5))
    assert np.bincount(numbered.scan_index[few[:, 0]])[[4, 9]].tolist() == [5, 5]


def test_too_few_positions_are_an_error():
    with pytest.raises(InvalidValueError, match="positions must be"):
        covering_groups(np.zeros((3, 2)), 4)


@pytest.fixture
def scan():
    rng = np.random.default_rng(0)
    return Scan(
        diffraction=np.ones((48, 8, 8), np.uint16),
        xcoords=rng.uniform(0, 50, 48),
        ycoords=rng.uniform(0, 50, 48),
        xcoords_start=np.arange(48.0),
        ycoords_start=np.zeros(48),
        probe=np.ones((8, 8), np.complex64),
        domain="counts",
    )


def inference(**settings):
    return InferenceConfig(**settings)


def training(gridsize=1, **settings):
    return TrainingConfig(model=ModelConfig(gridsize=gridsize), **settings)


@pytest.mark.parametrize("gridsize", [1, 2])
def test_as_many_groups_as_asked_for(scan, gridsize):
    C = gridsize**2
    assert inference_groups(scan, inference(n_groups=5), gridsize).shape == (5, C)
    assert inference_groups(scan, inference(), gridsize).shape == (48 // C, C)
    assert training_groups(scan, training(gridsize, n_groups=7)).shape == (7, C)
    some = inference_groups(scan, inference(n_subsample=20), 1)
    assert len(some) == 20
    assert some.max() > 20


def test_training_groups_follow_the_seed(scan):
    def groups(**settings):
        return training_groups(scan, training(2, n_groups=12, **settings)).tolist()

    assert groups(seed=1) == groups(seed=1) != groups(seed=2)
    assert groups(seed=1, subsample_seed=5) == groups(seed=2, subsample_seed=5)


def test_a_strip_is_held_back_and_shares_no_pattern(scan):
    groups = training_groups(scan, training(2))
    train, held = split_validation(scan, groups)
    assert len(held) == 5
    assert not set(train.ravel()) & set(held.ravel())
    assert split_validation(scan, groups[:20]) == (pytest.approx(groups[:20]), None)


def test_no_strip_is_held_back_where_it_would_take_most_groups_with_it(scan, caplog):
    rng = np.random.default_rng(0)
    groups = np.array([rng.permutation(10)[:4] for _ in range(200)])  # oversampled
    train, held = split_validation(scan, groups)
    assert held is None
    np.testing.assert_array_equal(train, groups)
    assert "of 200 groups share patterns with the validation strip" in caplog.text


def test_nominal_positions(scan, caplog):
    assert with_positions(scan, measured=True) is scan
    np.testing.assert_array_equal(with_positions(scan, measured=False).xcoords, np.arange(48.0))
    assert not caplog.messages
    without = evolve(scan, xcoords_start=None, ycoords_start=None)
    np.testing.assert_array_equal(with_positions(without, measured=False).positions, scan.positions)
    assert "no nominal positions (xcoords_start, ycoords_start); measured" in caplog.text


def test_a_dose_that_was_asked_for_wins_over_the_files(scan):
    stated = evolve(scan, diffraction=np.ones((48, 8, 8)), domain="amplitude", nphotons=1e4)
    assert with_photons(stated, 1e6).nphotons == 1e6
    assert with_photons(stated, None) is stated
    assert with_photons(scan, 1e6) is scan  # counts need no dose


def test_steps_are_in_order_or_compact():
    positions = np.random.default_rng(0).uniform(0, 100, (200, 2))
    groups = np.random.default_rng(1).permutation(200).reshape(100, 2)
    plain, joint = (
        inference_steps(groups, positions, 8, together=together) for together in (False, True)
    )
    np.testing.assert_array_equal(np.concatenate(plain), groups)
    found = np.concatenate(joint)
    np.testing.assert_array_equal(np.sort(found[:, 0]), np.sort(groups[:, 0]))
    assert {tuple(row) for row in found.tolist()} == {tuple(row) for row in groups.tolist()}
    assert sorted(map(len, joint)) == sorted(map(len, plain)) == [4, *12 * [8]]

    def spread(steps):
        return np.mean([np.ptp(positions[step].mean(axis=1), axis=0).mean() for step in steps])

    assert spread(joint) < 0.5 * spread(plain)
