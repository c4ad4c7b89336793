import numpy as np
import pytest
from ptycho.raw_data import RawData
from ptycho_data import Scan
from ptycho_physics import extract_patches

N = 64


@pytest.fixture
def grouped(raw):
    return raw.generate_grouped_data(N, K=7, gridsize=2)


def test_keys(grouped):
    starts = {f"coords_start_{name}" for name in ("nn", "offsets", "relative")}
    assert set(grouped) == starts | {
        "diffraction",
        "X_full",
        "Y",
        "coords_nn",
        "coords_offsets",
        "coords_relative",
        "nn_indices",
        "objectGuess",
    }
    assert len(grouped) == len(set(grouped)) == 11
    with pytest.raises(KeyError):
        grouped["coords"]


def test_shapes(grouped):
    B, C = grouped["nn_indices"].shape
    assert (B, C) == (36, 4)
    for key in ("diffraction", "X_full", "Y"):
        assert grouped[key].shape == (B, N, N, C), key
    for start in ("", "start_"):
        assert grouped[f"coords_{start}nn"].shape == (B, 1, 2, C)
        assert grouped[f"coords_{start}relative"].shape == (B, 1, 2, C)
        assert grouped[f"coords_{start}offsets"].shape == (B, 1, 2, 1)
    assert grouped["objectGuess"].shape == (90, 102)


def test_positions(grouped, arrays):
    index = grouped["nn_indices"]
    x, y = arrays["xcoords"][index], arrays["ycoords"][index]
    np.testing.assert_allclose(grouped["coords_nn"][:, 0, 0], x)
    np.testing.assert_allclose(grouped["coords_nn"][:, 0, 1], y)
    np.testing.assert_allclose(grouped["coords_offsets"][:, 0, 0, 0], x.mean(axis=1))
    relative = -(x - x.mean(axis=1, keepdims=True))
    np.testing.assert_allclose(grouped["coords_relative"][:, 0, 0], relative, atol=1e-12)


def test_patterns(grouped, arrays):
    index = grouped["nn_indices"]
    amplitude = np.sqrt(arrays["diff3d"][index[5, 2]])
    np.testing.assert_allclose(grouped["diffraction"][5, :, :, 2], amplitude, rtol=1e-6)
    assert grouped["diffraction"].dtype == np.float32
    assert grouped["diffraction"] is grouped["diffraction"]


def test_normalised_patterns_have_the_scale_of_the_contract(raw):
    X = raw.generate_grouped_data(N, gridsize=1)["X_full"]
    np.testing.assert_allclose((X**2).sum((1, 2, 3)).mean(), (N / 2) ** 2, rtol=1e-5)


def test_ground_truth(raw, grouped, truth):
    patches = extract_patches(truth, raw.scan.positions, N)
    index = grouped["nn_indices"]
    np.testing.assert_allclose(grouped["Y"][7, :, :, 1], patches[index[7, 1]], atol=1e-6)


def test_without_ground_truth(arrays):
    arrays = {**arrays, "objectGuess": None}
    grouped = RawData.from_coords_without_pc(**arrays).generate_grouped_data(N, gridsize=1)
    assert grouped["Y"] is None
    assert grouped["objectGuess"] is None


def test_amplitudes_stay_amplitudes(raw):
    scan = raw.scan
    amplitude = np.sqrt(scan.counts())
    given = Scan(
        diffraction=amplitude / amplitude.max(),
        xcoords=scan.xcoords,
        ycoords=scan.ycoords,
        probe=scan.probe,
        domain="amplitude",
        patches=extract_patches(scan.object_guess, scan.positions, N),
    )
    grouped = RawData(given).generate_grouped_data(N, gridsize=1)
    np.testing.assert_array_equal(grouped["diffraction"][..., 0], given.diffraction)
    counts = raw.generate_grouped_data(N, gridsize=1)
    np.testing.assert_allclose(grouped["X_full"], counts["X_full"], rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(grouped["Y"][..., 0], given.patches)


def test_nothing_large_is_made_before_it_is_read(raw, monkeypatch):
    monkeypatch.setattr(Scan, "counts", lambda *_: pytest.fail("patterns were read"))
    grouped = raw.generate_grouped_data(N, gridsize=2)
    assert grouped["coords_offsets"].shape == (36, 1, 2, 1)
    assert "X_full" in list(grouped)
