import numpy as np
import pytest
from ptycho_core.solving import solve_scan
from ptycho_core.testing import simulated_scan
from ptycho_data import save_scan


@pytest.fixture(scope="module")
def scan():
    return simulated_scan(24)


def test_a_file_gives_the_same_result_as_its_scan(scan, tmp_path):
    save_scan(tmp_path / "scan.npz", scan)
    epochs = []
    result = solve_scan(scan, epochs=3, callback=lambda epoch, _: epochs.append(epoch))
    assert epochs == [1, 2, 3]
    assert (result.stopped, result.positions_moved_rms) == ("epochs", 0)
    assert result.r_factor == result.r_factors[-1] < result.r_factors[0]
    again = solve_scan(tmp_path / "scan.npz", epochs=3)
    np.testing.assert_array_equal(again.reconstruction.object, result.reconstruction.object)


def test_refined_positions_are_in_the_reconstruction(scan):
    result = solve_scan(scan, epochs=7, refine_positions=True)
    rec = result.reconstruction
    moved = rec.positions + rec.origin - scan.positions
    assert result.positions_moved_rms == pytest.approx(np.sqrt(np.mean(moved**2)))
    assert result.positions_moved_rms > 0
