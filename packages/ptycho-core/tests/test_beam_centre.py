import numpy as np
import pytest
from ptycho_core.preparing.beam_centre import find_beam_centre, in_corners

SHAPE = (120, 150)
NONE = np.zeros(SHAPE, bool)


def at(row, column):
    y, x = np.mgrid[0 : SHAPE[0], 0 : SHAPE[1]]
    return np.hypot(y - row, x - column)


def speckled(light, seed=0):
    return np.random.default_rng(seed).poisson(light).astype(float)


@pytest.mark.parametrize("place", [(52, 83), (60.5, 71.25)])
@pytest.mark.parametrize(
    "shape",
    [
        lambda r: 1.0 * (r < 20),  # disk of a lens
        lambda r: 1.0 * ((r < 22) & (r > 8)),  # ring of a zone plate
        lambda r: np.exp(-((r / 9) ** 2)),  # peak of an unfocused beam
    ],
)
def test_beams_are_found_to_a_pixel(place, shape):
    radius = at(*place)
    light = speckled(400 * shape(radius) + 20 * np.exp(-radius / 30))
    found = find_beam_centre(light, NONE)
    assert found.distance(place) < 1
    assert found.uncertainty < 6


def test_gaps_and_hot_pixels_do_not_move_it():
    radius = at(52, 83)
    light = speckled(400.0 * (radius < 20))
    bad = NONE.copy()
    bad[:, 70:74] = bad[60:63] = True
    light[bad] = 2**32 - 1
    light[[10, 90, 91], [20, 140, 3]] = 1e6  # not marked
    assert find_beam_centre(light, bad).distance((52, 83)) < 1.5


def test_an_uncertain_centre_is_told():
    lop_sided = 400.0 * (at(52, 83) < 20) + 200 * (at(52, 110) < 25)
    assert find_beam_centre(lop_sided, NONE).uncertainty > 4


def test_without_light_there_is_no_centre():
    assert find_beam_centre(np.zeros(SHAPE), NONE) is None
    assert find_beam_centre(np.ones(SHAPE), ~NONE) is None


def test_zero_frequency_in_the_corners():
    radius = at(SHAPE[0] // 2, SHAPE[1] // 2)
    light = speckled(400 * np.exp(-((radius / 9) ** 2)))
    assert in_corners(np.fft.ifftshift(light), NONE)
    assert not in_corners(light, NONE)
    assert not in_corners(np.ones(SHAPE), NONE)
    one_corner = np.zeros(SHAPE)
    one_corner[:20, :20] = 100
    assert not in_corners(one_corner, NONE)
