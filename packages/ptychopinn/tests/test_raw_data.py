import numpy as np
import pytest
from ptycho import params
from ptycho.raw_data import RawData
from ptycho_config import InvalidValueError
from ptycho_config.errors import MissingFileError
from ptycho_data import ScanFormatError, save_scan
from ptycho_physics import extract_patches

N = 64


def test_counts_and_positions(raw, arrays):
    assert raw.scan.domain == "counts"
    assert raw.diff3d.shape == arrays["diff3d"].shape
    assert raw.diff3d.dtype == np.uint16
    np.testing.assert_allclose(raw.xcoords, arrays["xcoords"])
    np.testing.assert_allclose(raw.ycoords, arrays["ycoords"])
    assert raw.probeGuess.shape == (1, N, N)
    assert raw.objectGuess.shape == arrays["objectGuess"].shape


def test_a_position_is_the_middle_of_a_patch():
    """A bright pixel at index 31 of a patch whose middle, 31.5, lies at 40.5: object pixel 40."""
    canvas = np.zeros((100, 110), complex)
    canvas[40, 50] = 1
    raw = RawData.from_coords_without_pc(
        xcoords=[50.5, 60.5],
        ycoords=[40.5, 40.5],
        diff3d=np.ones((2, N, N)),
        probeGuess=np.ones((N, N), complex),
        objectGuess=canvas,
    )
    patch = extract_patches(raw.objectGuess, raw.scan.positions, N)[0]
    assert np.argwhere(patch).tolist() == [[31, 31]]


@pytest.mark.parametrize("dtype", ["u1", ">u2", "i4", "u4", "f2", "f4", "f8", "?"])
def test_counts_of_any_type(arrays, dtype):
    counts = np.minimum(arrays["diff3d"], 1 if dtype == "?" else 200)
    raw = RawData.from_coords_without_pc(**{**arrays, "diff3d": counts.astype(dtype)})
    np.testing.assert_array_equal(raw.scan.counts([5])[0], counts[5])


def test_small_integers_do_not_overflow(arrays):
    bright = np.full((36, N, N), 60000, np.uint16)
    raw = RawData.from_coords_without_pc(**{**arrays, "diff3d": bright})
    assert raw.scan.mean_photons() == 60000.0 * N * N


@pytest.mark.parametrize(
    "layout",
    [
        np.asfortranarray,
        lambda a: np.repeat(a, 2, axis=2)[:, :, ::2],
        lambda a: a[::-1, ::-1].copy()[::-1, ::-1],
        lambda a: np.moveaxis(np.moveaxis(a, 0, 2).copy(), 2, 0),
    ],
)
def test_counts_in_any_memory_layout(arrays, layout):
    counts = layout(arrays["diff3d"])
    assert not counts.flags.c_contiguous
    raw = RawData.from_coords_without_pc(**{**arrays, "diff3d": counts})
    np.testing.assert_array_equal(raw.scan.counts(), arrays["diff3d"])


@pytest.mark.parametrize("shape", [(N, N), (1, N, N), (3, N, N)])
def test_probes_with_and_without_modes(arrays, shape):
    probe = np.broadcast_to(arrays["probeGuess"], (3, N, N))[: shape[0] if len(shape) > 2 else 1]
    raw = RawData.from_coords_without_pc(**{**arrays, "probeGuess": probe.reshape(shape)})
    assert raw.probeGuess.shape == (shape[0] if len(shape) > 2 else 1, N, N)


def test_as_many_patterns_as_rows_is_no_question(arrays, recwarn):
    rng = np.random.default_rng(0)
    counts = rng.poisson(5, (N, N, N))
    x, y = rng.uniform(32, 58, (2, N))
    raw = RawData.from_coords_without_pc(x, y, counts, arrays["probeGuess"])
    np.testing.assert_array_equal(raw.scan.counts([1])[0], counts[1])
    assert not recwarn.list


def test_blank_patterns_are_told_in_the_log(arrays, caplog):
    counts = arrays["diff3d"].copy()
    counts[3] = 0
    RawData.from_coords_without_pc(**{**arrays, "diff3d": counts})
    assert "1 (3) of 36 patterns have no photons" in caplog.text


def test_every_mistake_is_told_at_once(arrays):
    bad = {
        **arrays,
        "probeGuess": np.ones((32, 32), complex),
        "xcoords": arrays["xcoords"] * np.nan,
    }
    with pytest.raises(ScanFormatError) as caught:
        RawData.from_coords_without_pc(**bad)
    assert {violation.key for violation in caught.value.violations} == {"probeGuess", "xcoords"}
    assert "\n" not in str(caught.value)


def test_negative_counts_are_refused(arrays):
    with pytest.raises(ScanFormatError) as caught:
        RawData.from_coords_without_pc(**{**arrays, "diff3d": -arrays["diff3d"].astype(int)})
    assert [violation.key for violation in caught.value.violations] == ["diffraction"]


def test_an_exported_file_is_what_was_handed_over(exported, raw):
    read = RawData.from_file(exported)
    assert read.diff3d.shape[-1] == N
    assert read.scan.domain == "counts"
    np.testing.assert_allclose(read.scan.positions, raw.scan.positions)
    np.testing.assert_allclose(read.scan.start_positions, raw.scan.positions)
    np.testing.assert_array_equal(read.probeGuess, raw.probeGuess)


def test_float_counts_of_an_exported_file(arrays, tmp_path):
    path = tmp_path / "train_data.npz"
    np.savez(path, **{**arrays, "diff3d": arrays["diff3d"].astype(float) / 2**20})
    assert RawData.from_file(path).scan.domain == "counts"


def test_filled_pixels_of_an_exported_file_are_not_measured(arrays, tmp_path):
    mask = np.zeros((N, N), bool)
    mask[32, 32] = True
    np.savez(tmp_path / "s.npz", **arrays, bad_pixels=mask)
    counts = RawData.from_file(tmp_path / "s.npz").scan.counts()
    assert not counts[:, 32, 32].any()
    assert counts[:, 33, 33].any()


def test_a_file_of_the_contract_keeps_its_conventions(raw, tmp_path):
    path = tmp_path / "scan.npz"
    save_scan(path, raw.scan)
    read = RawData.from_file(path)
    assert read.offset == 0
    np.testing.assert_array_equal(read.scan.positions, raw.scan.positions)


def test_no_such_file(tmp_path):
    with pytest.raises(MissingFileError):
        RawData.from_file(tmp_path / "missing.npz")


def test_groups_cover_the_whole_scan(raw):
    for gridsize in (1, 2):
        grouped = raw.generate_grouped_data(N, gridsize=gridsize)
        assert grouped["nn_indices"].shape == (36, gridsize**2)
        assert set(grouped["nn_indices"].ravel()) == set(range(36))


def test_several_groups_around_each_pattern(raw):
    grouped = raw.generate_grouped_data(N, K=7, nsamples=3, gridsize=2)
    groups = np.sort(grouped["nn_indices"], axis=1)
    assert groups.shape == (108, 4)
    assert len(np.unique(groups, axis=0)) == 108
    assert raw.generate_grouped_data(N, nsamples=3, gridsize=1)["nn_indices"].shape == (36, 1)


@pytest.mark.parametrize("K", [0, 3, 100])
def test_a_count_of_neighbours_that_cannot_be_is_made_possible(raw, K):
    assert raw.generate_grouped_data(N, K=K, gridsize=2)["nn_indices"].shape == (36, 4)


def test_older_callers_have_the_gridsize_in_the_dictionary(raw):
    with pytest.raises(KeyError, match="gridsize has no value yet"):
        raw.generate_grouped_data(N, K=7)
    params.cfg["gridsize"] = 2
    assert raw.generate_grouped_data(N, K=7)["nn_indices"].shape == (36, 4)


def test_another_size_is_named(raw):
    for size, nsamples, name in ((128, 1, "N"), (N, 0, "nsamples")):
        with pytest.raises(InvalidValueError) as caught:
            raw.generate_grouped_data(size, nsamples=nsamples, gridsize=1)
        assert caught.value.name == name


def test_too_small_a_scan_for_such_groups(arrays):
    few = {k: v if k in ("probeGuess", "objectGuess") else v[:3] for k, v in arrays.items()}
    with pytest.raises(InvalidValueError) as caught:
        RawData.from_coords_without_pc(**few).generate_grouped_data(N, gridsize=2)
    assert caught.value.name == "neighbor_count"
