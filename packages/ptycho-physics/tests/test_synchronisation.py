"""Phases of overlapping images from their inner products."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ptycho_config.errors import InvalidValueError
from ptycho_physics import synchronise


def chain(phases: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Overlaps of neighbours in a chain of images that differ by phases only."""
    pairs = np.stack([np.arange(len(phases) - 1), np.arange(1, len(phases))], axis=-1)
    products = np.exp(1j * (phases[pairs[:, 1]] - phases[pairs[:, 0]]))
    return pairs, products


@given(st.integers(2, 30), st.integers(0, 2**31))
def test_phases_of_consistent_overlaps_cancel(n, seed):
    phases = np.random.default_rng(seed).uniform(-np.pi, np.pi, n)
    pairs, products = chain(phases)
    factors = synchronise(pairs, products, np.ones(n), prior=0.0)
    aligned = factors * np.exp(1j * phases)
    np.testing.assert_allclose(aligned, np.full(n, aligned[0]), atol=1e-5)


def test_two_images_meet_half_way():
    factors = synchronise(np.array([[0, 1]]), np.array([np.exp(0.6j)]), np.ones(2))
    np.testing.assert_allclose(np.angle(factors), [0.3, -0.3], atol=0.01)


def test_what_overlaps_nothing_keeps_its_phase():
    factors = synchronise(np.array([[0, 1]]), np.array([np.exp(1j)]), np.ones(3))
    assert factors[2] == 1


def test_stronger_overlap_decides():
    pairs = np.array([[0, 1], [1, 2], [0, 2]])
    angles = np.array([0.0, 0.0, 0.9])  # cannot all be had
    factors = synchronise(pairs, np.array([100, 100, 1]) * np.exp(1j * angles), np.ones(3), prior=0)
    left = np.angle(factors[pairs[:, 1]] / factors[pairs[:, 0]]) + angles
    assert np.all(np.abs(left[:2]) < 0.01)
    assert left[2] == pytest.approx(0.9, abs=0.02)


def test_prior_holds_the_phases_back():
    pairs, products = chain(np.linspace(0, 2, 20))
    free, held = (
        np.angle(synchronise(pairs, products, np.ones(20), prior=prior)) for prior in (1e-6, 10.0)
    )
    assert np.ptp(held) < 0.1 * np.ptp(free)


def test_nothing_overlaps():
    factors = synchronise(np.empty((0, 2), np.int64), np.empty(0, complex), np.ones(3))
    np.testing.assert_array_equal(factors, np.ones(3))


def test_images_that_are_not_finite_are_refused():
    pairs, products = np.array([[0, 1], [1, 2]]), np.array([1, np.nan])
    with pytest.raises(InvalidValueError) as caught:
        synchronise(pairs, products, np.array([1, 1, np.nan]))
    assert caught.value.name == "images"
