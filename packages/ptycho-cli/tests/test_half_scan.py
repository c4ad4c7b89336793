import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ptycho_cli.half_scan import half_scan_frc, halves, said
from ptycho_data import Reconstruction
from scipy.ndimage import gaussian_filter


@given(n=st.integers(2, 80), seed=st.integers(0, 5))
def test_halves_are_disjoint_complete_and_equal(n, seed):
    positions = np.random.default_rng(seed).uniform(0, 100, (n, 2))
    first, second = halves(positions, seed)
    assert sorted([*first, *second]) == list(range(n))
    assert len(first) - len(second) in (0, 1, -1)


def test_halves_lie_between_each_other():
    grid = np.stack(np.meshgrid(np.arange(20.0), np.arange(20.0)), axis=-1).reshape(-1, 2)
    first, second = halves(grid)
    nearest = [np.linalg.norm(grid[first] - point, axis=1).min() for point in grid[second]]
    assert np.mean(nearest) < 1.2
    assert abs(grid[first].mean(axis=0) - grid[second].mean(axis=0)).max() < 0.5


def test_one_pattern_has_no_halves():
    with pytest.raises(ValueError, match="at least 2 patterns expected, found 1"):
        halves(np.zeros((1, 2)))


def rec_of(object_, positions, pixel_size_m=None):
    return Reconstruction(
        object=object_,
        coverage=np.ones(object_.shape),
        xcoords=positions[:, 0],
        ycoords=positions[:, 1],
        indices=np.arange(len(positions)),
        probe=np.ones((1, 32, 32), np.complex64),
        origin=np.zeros(2, int),
        pixel_size_m=pixel_size_m,
    )


def test_common_detail_is_told_from_noise(tmp_path):
    rng = np.random.default_rng(0)
    detail = gaussian_filter(rng.normal(size=(160, 160)), 2.0)
    detail = 1 + detail / detail.std()
    positions = np.stack(np.meshgrid(*2 * [np.linspace(16, 144, 9)]), axis=-1).reshape(-1, 2)

    def noisy(part):
        noise = 0.5 * (rng.normal(size=detail.shape) + 1j * rng.normal(size=detail.shape))
        return rec_of(detail + noise, positions[part], pixel_size_m=1e-8)

    found = half_scan_frc(positions, noisy, tmp_path)
    # the spectrum of the detail falls to that of the noise between the two
    assert 0.05 < found["cutoff_half"] < 0.25
    assert found["resolution_half_m"] == pytest.approx(found["resolution_half"] * 1e-8)
    assert "nm) by 0.5" in said(found)
    assert (tmp_path / "half_scan_frc.png").is_file()


def test_halves_too_small_to_compare(tmp_path):
    positions = np.array([[16.0, 16], [20, 20], [18, 17]])
    made = half_scan_frc(
        positions, lambda part: rec_of(np.ones((40, 40)), positions[part]), tmp_path
    )
    assert made is None
    assert "cannot be compared" in said(made)
