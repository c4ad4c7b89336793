import logging

import numpy as np
import pytest
from attrs import evolve
from ptycho_tf.groups import prepare


def test_a_strip_is_held_back_for_validation(scan, training, caplog):
    caplog.set_level(logging.INFO)
    train, validation = prepare(scan, None, training())
    assert (len(train.groups), len(validation.groups)) == (43, 5)
    assert scan.xcoords[train.groups].max() <= scan.xcoords[validation.groups].min()
    assert train.photons == validation.photons
    assert "training on 43 groups, validating on 5" in caplog.text


def test_few_groups_and_a_test_scan(scan, training):
    train, nothing = prepare(scan, None, training(n_groups=20))
    assert nothing is None
    assert len(train.groups) == 20
    half = evolve(scan, diffraction=scan.diffraction // 2)
    train, validation = prepare(scan, half, training())
    assert len(train.groups) == len(validation.groups) == 48
    assert validation.photons == pytest.approx(train.photons / 2, rel=0.05)


def test_the_truth_is_in_units_of_what_the_network_finds(scan, training):
    config = training({"model_type": "supervised"})
    train, _ = prepare(scan, None, config)
    bright, _ = prepare(evolve(scan, object_guess=3 * scan.object_guess), None, config)
    assert bright.truth_gain == pytest.approx(3 * train.truth_gain, rel=1e-5)
    assert prepare(scan, None, training())[0].truth_gain is None


def test_nominal_positions_where_asked_for(scan, training):
    moved = evolve(scan, xcoords_start=scan.xcoords + 2, ycoords_start=scan.ycoords)
    train, _ = prepare(moved, None, training(positions_provided=False))
    np.testing.assert_array_equal(train.scan.xcoords, scan.xcoords + 2)
