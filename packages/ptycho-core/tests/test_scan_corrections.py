import attrs
import numpy as np
import pytest
from ptycho_config.errors import InvalidValueError
from ptycho_core.analysis.scan_corrections import (
    correct_positions,
    shift_patterns,
    with_positions_from,
)
from ptycho_core.testing import random_scan


@pytest.fixture
def scan():
    return attrs.evolve(random_scan(), object_guess=np.ones((80, 80), np.complex64))


def test_axes_are_swapped_before_signs_change(scan):
    corrected, omitted = correct_positions(scan, swap_xy=True, flip_x=True)
    np.testing.assert_array_equal(corrected.xcoords, -scan.ycoords)
    np.testing.assert_array_equal(corrected.ycoords, scan.xcoords)
    assert corrected.object_guess is None
    assert omitted == ["objectGuess"]


def test_without_a_correction_the_scan_is_unchanged(scan):
    assert correct_positions(scan) == (scan, [])


def test_patterns_and_bad_pixels_are_shifted(scan):
    bad = np.zeros((8, 8), bool)
    bad[0, 0] = True
    level = bad.astype(np.float32)
    shifted = shift_patterns(attrs.evolve(scan, bad_pixels=bad, background=level))
    np.testing.assert_array_equal(
        shifted.diffraction[:], np.fft.fftshift(scan.diffraction, axes=(1, 2))
    )
    assert np.argwhere(shifted.bad_pixels).tolist() == [[4, 4]]
    assert np.argwhere(shifted.background).tolist() == [[4, 4]]
    assert shifted.subtracted is None


def test_positions_of_a_reconstruction_start_at_its_origin(scan, tmp_path):
    np.savez(tmp_path / "a.npz", xcoords=np.arange(12), ycoords=np.zeros(12), origin=[3, -2])
    moved = with_positions_from(scan, tmp_path / "a.npz")
    np.testing.assert_array_equal(moved.positions, np.stack([np.arange(12) + 3.0, [-2.0] * 12], 1))
    np.testing.assert_array_equal(moved.start_positions, scan.positions)


@pytest.mark.parametrize(
    "arrays",
    [
        {"xcoords": np.zeros(11), "ycoords": np.zeros(11)},
        {"xcoords": np.zeros(11), "ycoords": np.zeros(11), "indices": np.arange(12)},
        {"xcoords": np.full(12, np.nan), "ycoords": np.zeros(12)},
        {"xcoords": np.zeros(12), "ycoords": np.zeros(12), "indices": np.arange(12)[::-1]},
    ],
)
def test_positions_of_other_patterns_are_refused(scan, tmp_path, arrays):
    path = tmp_path / "a.npz"
    np.savez(path, **arrays)
    with pytest.raises(InvalidValueError) as caught:
        with_positions_from(scan, path)
    assert caught.value.name == f"xcoords and ycoords of {path}"


def test_the_place_on_the_stage_is_corrected_with_the_positions(scan):
    scan = attrs.evolve(scan, object_guess=None, pixel_size_m=1e-8, origin_m=(3e-3, -1e-3))
    metres = np.array(scan.origin_m) + scan.positions * 1e-8
    corrected, _ = correct_positions(scan, swap_xy=True, flip_x=True)
    np.testing.assert_allclose(
        np.array(corrected.origin_m) + corrected.positions * 1e-8, metres[:, ::-1] * (-1, 1)
    )
