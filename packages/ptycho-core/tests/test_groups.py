import numpy as np
import pytest
from attrs import evolve
from ptycho_config import ModelConfig, TrainingConfig
from ptycho_core.groups import prepare
from ptycho_core.sampling import split_validation, training_groups
from ptycho_core.testing import simulated_scan


@pytest.fixture(scope="module")
def scan():
    return simulated_scan()


@pytest.fixture
def training():
    def make(model=None, **settings):
        model = ModelConfig(**({"architecture": "unrolled"} | (model or {})))
        return TrainingConfig(model=model, **settings)

    return make


def test_validation_is_a_strip_at_the_right_edge(scan, training):
    groups = training_groups(scan, training())
    train_part, validation = split_validation(scan, groups)
    assert len(validation) == round(0.1 * len(groups))
    assert scan.xcoords[train_part].max() <= scan.xcoords[validation].min()
    assert set(train_part.ravel()) | set(validation.ravel()) == set(range(scan.n))
    few, none = split_validation(scan, groups[:30])
    assert none is None
    assert len(few) == 30


def test_groups_follow_the_seed(scan, training):
    def groups(**settings):
        return training_groups(scan, training({"gridsize": 2}, n_groups=12, **settings)).tolist()

    assert groups(seed=1) == groups(seed=1)
    assert groups(seed=1) != groups(seed=2)
    assert groups(seed=1, subsample_seed=5) == groups(seed=2, subsample_seed=5)


def test_sequential_sampling_takes_the_first(scan, training):
    groups = training_groups(scan, training(n_groups=5, sequential_sampling=True))
    np.testing.assert_array_equal(groups[:, 0], np.arange(5))


def test_subsampled_patterns_are_numbered_as_in_the_scan(scan, training):
    groups = training_groups(scan, training({"gridsize": 2}, n_subsample=20))
    assert len(np.unique(groups)) <= 20
    assert groups.max() > 20


def test_nominal_positions_are_used_when_asked_for(scan, training):
    shifted = evolve(scan, xcoords_start=scan.xcoords + 3, ycoords_start=scan.ycoords - 2)
    measured = prepare(shifted, training())[0]
    nominal = prepare(shifted, training(positions_provided=False))[0]
    moved = nominal.scan.positions - measured.scan.positions
    np.testing.assert_allclose(moved, np.broadcast_to([3, -2], moved.shape))


def test_each_scan_has_its_own_scale(scan, training):
    brighter = evolve(scan, diffraction=4 * scan.diffraction)
    own = [prepare(each, training())[0].photons for each in (scan, brighter)]
    assert own[1] == pytest.approx(4 * own[0], rel=1e-5)


def test_no_pattern_is_in_both_parts(scan, training):
    train_part, validation = prepare(scan, training({"gridsize": 2}))
    assert not np.intersect1d(train_part.groups, validation.groups).size
    assert validation.photons == train_part.photons  # one exposure, one scale


def test_bad_pixels_do_not_change_the_scale(scan, training):
    stop = np.zeros((64, 64), dtype=bool)
    stop[29:35, 29:35] = True
    masked = prepare(evolve(scan, bad_pixels=stop), training())[0]
    free = prepare(scan, training())[0]
    assert masked.photons == pytest.approx(free.photons, rel=0.1)


def test_truth_is_given_in_the_units_of_the_network(scan, training):
    brighter = evolve(scan, object_guess=5 * scan.object_guess)
    config = training({"model_type": "supervised"})
    gains = [prepare(each, config)[0].truth_gain for each in (scan, brighter)]
    assert gains[1] == pytest.approx(5 * gains[0], rel=1e-5)
