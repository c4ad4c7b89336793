import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ptycho_config.errors import InvalidValueError
from ptycho_physics.metrics import complex_correlation, find_ramp, find_shift, shift_image
from ptycho_physics.metrics._registration import interior, ramp_phase, taper
from ptycho_physics.objects import line_object, random_cells, siemens_star

SHIFTS = [(0.0, 0.0), (3.0, -2.0), (0.4, 0.0), (-2.63, 4.37), (0.08, -0.11), (-6.5, 7.25)]


def two_views(factory, shift, size=96):
    """Cut a reference, and the same scene moved by -shift, out of a larger object.

    What is beyond the border of one is then really seen by the other.
    """
    still = factory((size + 40, size + 40))
    moved = shift_image(still, (-shift[0], -shift[1]))
    cut = np.s_[20:-20, 20:-20]
    return moved[cut], still[cut]


@pytest.mark.parametrize("factory", [random_cells, line_object, siemens_star])
@pytest.mark.parametrize("shift", SHIFTS)
def test_known_shift_is_recovered(factory, shift):
    moved, still = two_views(factory, shift)
    np.testing.assert_allclose(find_shift(moved, still, 10), shift, atol=0.03)


@pytest.mark.parametrize("shift", SHIFTS)
def test_known_shift_is_recovered_in_noise_and_with_a_factor(shift):
    moved, still = two_views(random_cells, shift)
    generator = np.random.default_rng(0)
    noise = 0.03 * (generator.normal(size=(2, 96, 96, 2)) @ [1, 1j])
    found = find_shift(moved * (0.3 - 2j) * (1 + noise[0]), still + noise[1], 10)
    np.testing.assert_allclose(found, shift, atol=0.05)


def test_shift_of_a_gaussian_in_closed_form():
    y, x = np.indices((64, 70)) - 32.0
    spot = np.exp(-(x**2 + y**2) / 50)
    moved = np.exp(-((x - 1.37) ** 2 + (y + 2.81) ** 2) / 50)
    np.testing.assert_allclose(find_shift(moved, spot, 5), (-1.37, 2.81), atol=0.01)


@settings(deadline=None)  # a busy machine is not a failure
@given(st.integers(0, 20))
def test_an_aligned_image_is_left_alone_and_never_made_worse(seed):
    made = random_cells((64, 72), seed=seed).astype(complex)
    assert find_shift(made, made, 8) == (0.0, 0.0)
    generator = np.random.default_rng(seed)
    noisy = made * np.exp(1j * generator.normal(size=made.shape))
    shift = find_shift(noisy, made, 8)
    before = complex_correlation(interior(noisy, shift), interior(made, shift))
    after = complex_correlation(interior(shift_image(noisy, shift), shift), interior(made, shift))
    assert after >= before


def test_search_stays_within_max_shift():
    moved, still = two_views(random_cells, (5.0, 0.0))
    assert max(np.abs(find_shift(moved, still, 2))) <= 2
    assert find_shift(moved, still, 0) == (0.0, 0.0)


def test_flat_images_are_not_moved():
    flat = np.ones((40, 40), complex)
    assert find_shift(flat, flat, 3) == (0.0, 0.0)


def test_translate_by_whole_pixels_is_a_copy():
    made = random_cells((40, 50)).astype(complex)
    moved = shift_image(made, (3.0, -2.0))
    np.testing.assert_allclose(moved[:-2, 3:], made[2:, :-3], atol=1e-12)


def test_translate_moves_a_spot_to_where_it_says():
    y, x = np.indices((65, 64)).astype(float)
    spot = np.exp(-((x - 30) ** 2 + (y - 33) ** 2) / 18)
    expected = np.exp(-((x - 30.25) ** 2 + (y - 28.5) ** 2) / 18)
    shift = (0.25, -4.5)
    moved = interior(shift_image(spot, shift), shift)
    np.testing.assert_allclose(moved, interior(expected, shift), atol=3e-5)


def test_taper_is_one_inside_and_falls_to_the_border():
    window = taper((32, 48))
    assert window.shape == (32, 48)
    np.testing.assert_array_equal(window[8:24, 12:36], 1)
    assert window[0].max() < 0.02
    np.testing.assert_allclose(window, window[::-1, ::-1])


@pytest.mark.parametrize("ramp", [(0.0, 0.0), (0.02, -0.05), (0.3, 0.8), (-1.7, 0.001)])
def test_known_ramp_is_recovered(ramp):
    made = random_cells((64, 80)).astype(complex)
    tilted = made * ramp_phase(made.shape, (-ramp[0], -ramp[1])) * 2j
    found = find_ramp(tilted, made)
    np.testing.assert_allclose(found, ramp, atol=2e-4)


def test_ramp_is_in_radians_per_pixel_of_x_and_y():
    phase = ramp_phase((8, 10), (0.1, 0.2))
    assert np.angle(phase[4, 6] / phase[4, 5]) == pytest.approx(0.1)
    assert np.angle(phase[5, 5] / phase[4, 5]) == pytest.approx(0.2)
    assert phase[4, 5] == 1


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: find_shift(np.ones((40, 40)), np.ones((40, 41)), 2), "image"),
        (lambda: find_shift(np.ones((30, 40)), np.ones((30, 40)), 10), "images"),
        (lambda: find_shift(np.ones((40, 40)), np.ones((40, 40)), -1), "max_shift"),
        (lambda: find_shift(np.ones((40, 40)), np.ones((40, 40)), math.nan), "max_shift"),
    ],
)
def test_what_cannot_be_registered_is_named(call, name):
    with pytest.raises(InvalidValueError) as caught:
        call()
    assert caught.value.name == name
