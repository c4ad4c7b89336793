"""The windows of frames are read alone, and are those of the whole frames."""

import h5py
import numpy as np
import pytest
from ptycho_data._hdf5 import H5File
from ptycho_data._hdf5_source import H5Source
from ptycho_data.raw import Frames, Window, patterns
from ptycho_data.raw._joined import joined

N, SHAPE = 24, (20, 26)
FRAMES = np.random.default_rng(0).poisson(3, (N, *SHAPE)).astype(np.uint32)


@pytest.fixture(
    params=[(1, *SHAPE), (5, *SHAPE), (5, 8, 7), (1, 2, *SHAPE), (2, 3, 20, 13)], ids=str
)
def stack(request, tmp_path):
    """Return frames in chunks of several shapes, of four axes as a raster of 4 x 6."""
    frames = FRAMES if len(request.param) == 3 else FRAMES.reshape(4, 6, *SHAPE)
    with h5py.File(tmp_path / "frames.h5", "w") as file:
        file.create_dataset("data", data=frames, chunks=request.param, compression=1)
    file = H5File(tmp_path / "frames.h5")
    yield file.stack("data", raster=True)
    file.close()


@pytest.mark.parametrize("centre", [(9, 12), (2, 24)])
@pytest.mark.parametrize("rows", [slice(None), slice(3, 17), [7, 2, 2, 23]])
def test_they_are_the_windows_of_whole_frames(stack, centre, rows):
    window = Window(shape=SHAPE, centre=centre, size=8, flip_rows=True)
    change = Frames(window=window, bad=np.eye(*SHAPE, dtype=bool))
    expected = change(FRAMES)
    np.testing.assert_array_equal(patterns(stack, change)[rows], expected[rows])
    twice = np.concatenate([expected, expected])
    both = patterns(joined([stack, stack]), change)
    np.testing.assert_array_equal(both[20:30], twice[20:30])
    np.testing.assert_array_equal(both.select([30, 3])[:], twice[[30, 3]])


def test_no_other_pixels_are_copied(stack, monkeypatch):
    change = Frames(window=Window(shape=SHAPE, centre=(9, 12), size=8), bad=np.zeros(SHAPE, bool))
    made, taken = patterns(stack, change), []
    monkeypatch.setattr(H5Source, "take", lambda _self, rows: taken.append(rows))
    for rows in made.blocks():
        np.testing.assert_array_equal(made[rows], change(FRAMES[rows]))
    assert taken == []
