"""Half a pixel between us and others: closed form, and there and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ptycho_data._geometry import center_m, centre_position, half_pixel


@pytest.mark.parametrize(("N", "half"), [(1, 0), (2, 0.5), (7, 0), (64, 0.5), (65, 0)])
def test_half_a_pixel_lies_between_the_two_middles_of_even_patches(N, half):
    assert half_pixel(N) == half


def test_an_object_of_the_size_of_a_patch_has_its_middle_under_the_patch():
    assert [centre_position(N, N) for N in (1, 2, 7, 64)] == [0, 1, 3, 32]


@given(
    shape=st.tuples(st.integers(1, 99), st.integers(1, 99)),
    origin=st.tuples(st.integers(-50, 50), st.integers(-50, 50)),
    N=st.integers(1, 65),
    x=st.floats(-100, 100),
)
def test_the_formula_of_the_readers_takes_the_centre_back(shape, origin, N, x):
    pixel, (height, width) = 2.0, shape
    for axis, size in ((0, width), (1, height)):
        metres = center_m(shape, origin, N, pixel)[axis]
        back = (x * pixel - metres) / pixel + (size - 1) / 2 + (N // 2 - (N - 1) / 2)
        assert back == pytest.approx(x - origin[axis])
