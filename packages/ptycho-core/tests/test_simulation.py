import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ptycho_config.errors import InvalidValueError
from ptycho_core.simulation import bad_pixel_mask, pad_with_vacuum, simulate_scan
from ptycho_core.simulation_parts import SimulationParts


@given(
    st.lists(st.tuples(st.floats(-40, 90), st.floats(-40, 90)), min_size=1, max_size=8),
    st.sampled_from([8, 9, 16]),
)
def test_padded_object_holds_every_patch_and_keeps_its_pixels(points, N):
    values = np.full((31, 47), 2, np.complex64)
    padded, local, _ = pad_with_vacuum(values, np.array(points), N)
    height, width = padded.shape
    first = np.floor(local) - N // 2
    last = np.ceil(local) - N // 2 + N
    assert np.all(first >= 0)
    assert np.all(last <= (width, height))
    x, y = np.rint(local[0] - points[0]).astype(int)
    np.testing.assert_array_equal(padded[y : y + 31, x : x + 47], values)
    assert np.sum(padded == 2) == values.size
    assert np.all((padded == 2) | (padded == 1))


def test_the_last_bilinear_neighbour_one_pixel_outside():
    # At x = 32.5 a patch of 64 needs columns 0..64: one more than an object of 64 has.
    padded, _, n_outside = pad_with_vacuum(
        np.zeros((64, 64), np.complex64), np.array([[32.5, 32.0]]), 64
    )
    assert n_outside == 1
    assert padded.shape == (64, 65)
    np.testing.assert_array_equal(padded[:, 64], 1)


def test_a_detector_without_defects_has_no_mask():
    assert bad_pixel_mask(32) is None
    mask = bad_pixel_mask(32, beam_stop=4, dead_fraction=0.01, seed=1)
    assert mask[16, 16]
    assert mask.sum() > bad_pixel_mask(32, beam_stop=4).sum()


def test_missing_parts_are_named():
    with pytest.raises(InvalidValueError) as caught:
        simulate_scan(SimulationParts(object=np.ones((9, 9), np.complex64)))
    assert caught.value.name == "probe"


def test_simulated_scan():
    parts = SimulationParts().completed(N=32, n_patterns=6)
    scan = simulate_scan(parts, 1e4)
    assert (scan.n, scan.N, scan.domain, scan.nphotons) == (6, 32, "counts", 1e4)
    assert scan.object_guess is parts.object
    assert scan.diffraction.dtype == np.uint16
    assert scan.mean_photons() == pytest.approx(1e4, rel=0.05)
