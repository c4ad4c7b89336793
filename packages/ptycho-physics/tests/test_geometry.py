import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from ptycho_config.errors import InvalidValueError
from ptycho_physics import Canvas, extract_patches


@pytest.mark.parametrize(("N", "first", "size"), [(4, 8, 4), (5, 8, 5)])
def test_one_integer_position_gives_a_canvas_of_one_patch(N, first, size):
    canvas = Canvas.covering(np.array([[10.0, 10.0]]), N)
    assert canvas.origin == (first, first)
    assert canvas.shape == (size, size)
    np.testing.assert_array_equal(canvas.local(np.array([[10.0, 10.0]])), [[N // 2, N // 2]])


def test_origin_is_x_y_and_shape_is_rows_columns():
    canvas = Canvas.covering(np.array([[10.0, 100.0], [40.0, 105.5]]), 8)
    assert canvas.origin == (6, 96)
    assert canvas.shape == (14, 38)


@given(
    # on a grid of 1/1024 px, where moving the origin does not round
    positions=arrays(np.int64, (5, 2), elements=st.integers(-(10**7), 10**7)),
    N=st.sampled_from([6, 7, 64]),
)
def test_every_patch_fits_and_nothing_is_wasted(positions, N):
    positions = positions / 1024
    canvas = Canvas.covering(positions, N)
    local = canvas.local(positions)
    extract_patches(np.broadcast_to(np.float32(0), canvas.shape), local, N)  # raises if one leaves
    first = np.floor(local.min(axis=0)) - N // 2
    last = np.ceil(local.max(axis=0)) - N // 2 + N
    np.testing.assert_array_equal(first, [0, 0])
    np.testing.assert_array_equal(last, canvas.shape[::-1])


@pytest.mark.parametrize("positions", [np.zeros((0, 2)), np.array([[np.nan, 1.0]])])
def test_no_or_bad_positions_are_refused(positions):
    with pytest.raises(InvalidValueError) as caught:
        Canvas.covering(positions, 8)
    assert caught.value.name == "positions"
