"""Centres of mass of patterns, and the angle at which their field has no curl."""

import numpy as np
import pytest
from ptycho_core.preparing.centre_of_mass import centres_of_mass, curl_free_angle

RNG = np.random.default_rng(0)
PLACES = RNG.uniform(0, 20, (200, 2))
GRADIENT = np.stack(
    [np.cos(0.5 * PLACES[:, 0]) * np.sin(0.4 * PLACES[:, 1]) * 0.5,
     np.sin(0.5 * PLACES[:, 0]) * np.cos(0.4 * PLACES[:, 1]) * 0.4], axis=1,
)  # fmt: skip


def by(degrees):
    angle = np.deg2rad(degrees)
    return np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])


def test_a_single_pixel_is_its_own_centre():
    counts = np.zeros((2, 8, 8))
    counts[0, 3, 6] = 5
    bad = np.zeros((8, 8), bool)
    np.testing.assert_array_equal(centres_of_mass(counts), [[2, -1], [0, 0]])
    bad[3, 6] = True
    np.testing.assert_array_equal(centres_of_mass(counts, bad), np.zeros((2, 2)))


@pytest.mark.parametrize("degrees", [0, 17, -83, 88])
def test_the_gradient_of_a_potential_has_no_curl_at_its_angle(degrees):
    found = curl_free_angle(GRADIENT, PLACES @ by(-degrees))
    assert (found - degrees + 90) % 180 - 90 == pytest.approx(0, abs=3)


def test_noise_and_few_patterns_tell_nothing():
    assert curl_free_angle(RNG.normal(size=PLACES.shape), PLACES) is None
    assert curl_free_angle(GRADIENT[:10], PLACES[:10]) is None
