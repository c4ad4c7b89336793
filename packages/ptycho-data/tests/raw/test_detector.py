"""Frames become patterns: cut out, binned, turned and corrected, exactly and as they are read."""

import pickle

import numpy as np
import pytest
from ptycho_config.errors import InvalidValueError
from ptycho_data.raw import Frames, Window, largest_size, patterns

SHAPE = (20, 26)


def frame_with(row, column, shape=SHAPE):
    frame = np.zeros((1, *shape), np.uint16)
    frame[0, row, column] = 7
    return frame


def made(frames, bad=None, **window):
    known = {"shape": SHAPE, "centre": (9, 12), "size": 8}
    bad = np.zeros(SHAPE, bool) if bad is None else bad
    return Frames(window=Window(**known | window), bad=bad)(frames)[0]


@pytest.mark.parametrize("size", [7, 8])
@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize("flip_rows", [False, True])
@pytest.mark.parametrize("flip_columns", [False, True])
def test_the_beam_comes_to_the_centre_however_frames_are_turned(
    size, transpose, flip_rows, flip_columns
):
    turned = {"transpose": transpose, "flip_rows": flip_rows, "flip_columns": flip_columns}
    out = made(frame_with(9, 12), size=size, **turned)
    assert out.shape == (size, size)
    assert np.argwhere(out).tolist() == [[size // 2, size // 2]]
    # A pixel one row below and two columns to the right keeps its place relative to the beam.
    off = made(frame_with(10, 14), size=size, **turned)
    step = [2, 1] if transpose else [1, 2]
    step = [-step[0] if flip_rows else step[0], -step[1] if flip_columns else step[1]]
    assert (np.argwhere(off)[0] - size // 2).tolist() == step


def test_binning_keeps_all_counts_and_a_bad_pixel_spoils_its_block():
    rng = np.random.default_rng(0)
    frames = rng.poisson(50, (3, *SHAPE)).astype(np.uint16)
    window = Window(shape=SHAPE, centre=(9.5, 12.5), size=8, binning=2)
    out = Frames(window=window, bad=np.zeros(SHAPE, bool))(frames)
    assert out.dtype == np.uint32
    assert window.start == (1, 4)
    np.testing.assert_array_equal(out.sum(axis=(1, 2)), frames[:, 1:17, 4:20].sum(axis=(1, 2)))
    bad = np.zeros(SHAPE, bool)
    bad[3, 9] = True
    assert np.argwhere(window.mask(bad)).tolist() == [[1, 2]]


def test_binned_amplitudes_are_roots_of_summed_squares():
    frames = np.full((1, *SHAPE), 3.0, np.float32)
    window = Window(shape=SHAPE, centre=(9.5, 12.5), size=4, binning=2)
    out = Frames(window=window, bad=np.zeros(SHAPE, bool), domain="amplitude")(frames)
    np.testing.assert_allclose(out, 6)


def test_what_lies_beyond_the_frames_is_dark_and_bad_on_request():
    window = Window(shape=SHAPE, centre=(2, 12), size=16)
    assert window.outside
    frames = np.ones((1, *SHAPE), np.uint8)
    bad = np.zeros(SHAPE, bool)
    out = Frames(window=window, bad=bad)(frames)[0]
    assert out[6:].all()
    assert not out[:6].any()
    unknown, dark = window.mask(bad), window.mask(bad, margin_bad=False)
    assert unknown[:6].all()
    assert not unknown[6:].any()
    assert not dark.any()


def test_dark_level_and_flat_field_are_applied_and_noise_is_clipped():
    frames = np.full((2, *SHAPE), 30, np.uint16)
    frames[1] = 5
    dark, flat = np.full(SHAPE, 10.0), np.full(SHAPE, 2.0)
    flat[9, 12] = 0  # no light there: left as it is
    window = Window(shape=SHAPE, centre=(9, 12), size=8)
    out = Frames(window=window, bad=np.zeros(SHAPE, bool), dark=dark, flat=flat)(frames)
    assert out.dtype == np.float32
    assert out[0, 0, 0] == 10
    assert out[0, 4, 4] == 20
    assert not out[1].any()
    with pytest.raises(InvalidValueError, match=r"dark must be of the shape of a frame"):
        Frames(window=window, bad=np.zeros(SHAPE, bool), dark=dark[1:])


def test_values_below_zero_and_nan_become_zero():
    frames = np.ones((1, *SHAPE), np.int32)
    frames[0, 9, 12] = -1
    assert made(frames)[4, 4] == 0
    broken = frames.astype(np.float32)
    broken[0, 9, 12] = np.nan
    assert made(broken)[4, 4] == 0


def test_frames_with_zero_frequency_in_the_corner_are_shifted():
    out = made(frame_with(0, 0), centre=(10, 13), corner=True)
    assert np.argwhere(out).tolist() == [[4, 4]]


def test_patterns_are_made_as_they_are_read_and_cross_process_borders():
    frames = np.random.default_rng(1).poisson(9, (40, *SHAPE)).astype(np.uint16)
    change = Frames(window=Window(shape=SHAPE, centre=(9, 12), size=8), bad=np.zeros(SHAPE, bool))
    stack = patterns(frames, change)
    assert stack.shape == (40, 8, 8)
    again = pickle.loads(pickle.dumps(stack))  # noqa: S301
    np.testing.assert_array_equal(again[[3, 1]], frames[[3, 1], 5:13, 8:16])


@pytest.mark.parametrize(
    ("centre", "binning", "size"), [((9, 12), 1, 18), ((9.5, 12), 1, 20), ((9.5, 12.5), 2, 8)]
)
def test_the_largest_size_fits_and_a_larger_one_does_not(centre, binning, size):
    assert largest_size(SHAPE, centre, binning) == size
    assert not Window(shape=SHAPE, centre=centre, size=size, binning=binning).outside
    larger = Window(shape=SHAPE, centre=centre, size=size + 2, binning=binning)
    assert larger.outside
