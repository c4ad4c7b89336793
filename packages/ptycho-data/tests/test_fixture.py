import json
import zipfile

import numpy as np
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from ptycho_data import OutputExistsError, load_scan, save_scan, scan_from_arrays, validate
from ptycho_data._fixture import axis_coverage, fixture_indices, save_fixture


def raster(rows, columns):
    y, x = np.divmod(np.arange(rows * columns), columns)
    return x, y


def snake(rows, columns):
    x, y = raster(rows, columns)
    return np.where(y % 2, columns - 1 - x, x), y


def spiral(rows, columns):
    k = np.arange(rows * columns)
    radius, angle = np.sqrt(k), k * 2.399963
    return radius * np.cos(angle), radius * np.sin(angle)


def scattered(rows, columns):
    return np.random.default_rng(rows * 1000 + columns).random((2, rows * columns))


@pytest.mark.parametrize("order", [raster, snake, spiral, scattered])
@given(rows=st.integers(8, 130), columns=st.integers(8, 130), turned=st.booleans())
def test_more_than_half_of_both_axes(order, rows, columns, turned):
    points = np.stack(order(rows, columns), axis=1)[:, :: -1 if turned else 1]
    coverage = axis_coverage(points, fixture_indices(points, 64))
    assert min(coverage.values()) > 0.5


@given(st.integers(1, 3000), st.data())
def test_indices_are_distinct_and_spread_evenly(n, data):
    m = data.draw(st.integers(1, n))
    indices = fixture_indices(np.random.default_rng(n).random((n, 2)), m)
    assert indices.dtype == np.int64
    # One from each of m stretches of equal length.
    cuts = np.arange(m + 1) * n // m
    np.testing.assert_array_equal(np.histogram(indices, bins=[*cuts[:-1], n])[0], np.ones(m))


def test_indices_are_pinned_for_every_platform():
    points = np.stack(raster(20, 25), axis=1)
    chosen = fixture_indices(points, 8)
    np.testing.assert_array_equal(chosen, [0, 93, 140, 234, 257, 351, 398, 492])


def test_rows_of_the_length_of_a_step_are_no_trap():
    points = np.stack(raster(64, 64), axis=1)  # every 64th of them is at the left edge
    assert axis_coverage(points, np.arange(0, 4096, 64))["x"] == 0
    chosen = fixture_indices(points, 64)
    assert min(axis_coverage(points, chosen).values()) > 0.95
    # 8 on average in each eighth of the columns
    assert np.histogram(points[chosen, 0], bins=8, range=(0, 64))[0].min() >= 6


def test_all_of_a_scan():
    np.testing.assert_array_equal(fixture_indices(np.eye(2)[np.arange(7) % 2], 7), np.arange(7))


@pytest.mark.parametrize("m", [0, 8])
def test_impossible_sizes(m):
    with pytest.raises(ValueError, match="subset_size"):
        fixture_indices(np.zeros((7, 2)), m)


def test_an_axis_without_extent_is_covered():
    points = np.stack([np.arange(5.0), np.zeros(5)], axis=1)
    assert axis_coverage(points, np.array([1, 3])) == {"x": 0.5, "y": 1.0}


@pytest.fixture
def source(tmp_path, contract_arrays):
    path = tmp_path / "source.npz"
    np.savez(path, **contract_arrays(n=40))
    return path


def test_a_fixture_is_a_part_of_its_source(source, tmp_path):
    whole = load_scan(source)
    content = save_fixture(tmp_path / "out.npz", whole, 8)
    assert validate(tmp_path / "out.npz") == []
    part, chosen = load_scan(tmp_path / "out.npz"), content["indices"]
    for key, array in whole.select(chosen).arrays().items():
        np.testing.assert_array_equal(part.arrays()[key], array, err_msg=key)
        assert part.arrays()[key].dtype == array.dtype
    np.testing.assert_array_equal(part.counts(), whole.counts(chosen))
    assert part.domain == whole.domain
    assert part.pixel_size_m == whole.pixel_size_m
    with np.load(tmp_path / "out.npz") as file:
        assert file.files[:3] == ["diffraction", "xcoords", "ycoords"]


def test_amplitudes_keep_their_dose(tmp_path, contract_arrays):
    arrays = contract_arrays(n=30, domain="amplitude")
    arrays["diffraction"] = arrays["diffraction"].astype(np.float64)
    whole = scan_from_arrays(arrays)
    content = save_fixture(tmp_path / "out.npz", whole, 6)
    part = load_scan(tmp_path / "out.npz")
    assert part.diffraction.dtype == np.float32
    np.testing.assert_allclose(part.counts(), whole.counts(content["indices"]), rtol=1e-5)


def test_as_many_patterns_as_pixels_leave_no_doubt(tmp_path, contract_arrays):
    whole = scan_from_arrays(contract_arrays(n=20, N=8))
    save_fixture(tmp_path / "out.npz", whole, 8)
    assert load_scan(tmp_path / "out.npz").n == 8  # warnings are errors here


def test_same_input_same_bytes(source, tmp_path):
    for folder in ("a", "b"):
        save_fixture(tmp_path / folder / "out.npz", load_scan(source), 16)
    for name in ("out.npz", "out.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_the_sidecar_says_it_all(source, tmp_path):
    scan = load_scan(source)
    returned = save_fixture(tmp_path / "out.npz", scan, 16)
    content = json.loads((tmp_path / "out.json").read_text("utf-8"))
    assert content["indices"] == list(returned["indices"])
    assert [entry["name"] for entry in content["sources"]] == ["source.npz"]
    hashes = {len(content["output"]["sha256"]), len(content["sources"][0]["sha256"])}
    assert hashes == {64}
    assert content["subset_size"] == 16
    assert content["source_patterns"] == 40
    assert "van der Corput" in content["indices_rule"]
    assert content["arrays"]["diffraction"] == {"shape": [16, 8, 8], "dtype": "uint16"}
    assert set(content["coverage"]) == {"x", "y"}
    assert content["tool"].startswith("ptycho-data ")
    command = "ptycho fixture source.npz --output out.npz --subset-size 16"
    assert content["command"] == command
    assert str(tmp_path) not in json.dumps(content)


def test_a_short_scan_is_taken_whole(source, tmp_path):
    content = save_fixture(tmp_path / "out.npz", load_scan(source))
    assert content["subset_size"] == 40
    assert content["coverage"] == {"x": 1.0, "y": 1.0}


def test_a_scan_in_memory_names_no_source(source, tmp_path):
    content = save_fixture(
        tmp_path / "out.npz", evolve(load_scan(source), source=None, files=()), 4
    )
    assert content["sources"] == []


@pytest.mark.parametrize("there", ["out.npz", "out.json"])
def test_existing_files_are_refused_together(source, tmp_path, there):
    (tmp_path / there).write_text("mine")
    with pytest.raises(OutputExistsError, match=there):
        save_fixture(tmp_path / "out.npz", load_scan(source), 4)
    assert (tmp_path / there).read_text() == "mine"
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["source.npz", there])
    save_fixture(tmp_path / "out.npz", load_scan(source), 4, overwrite=True)
    assert load_scan(tmp_path / "out.npz").n == 4


def test_the_sidecar_needs_a_name_of_its_own(source, tmp_path):
    with pytest.raises(ValueError, match=r"out\.json; the sidecar"):
        save_fixture(tmp_path / "out.json", load_scan(source), 4)


def test_patterns_are_stored_once_and_compressed(tmp_path, contract_arrays):
    arrays = contract_arrays(n=80, N=32)
    arrays["diffraction"] = arrays["diffraction"] // 45  # few photons, mostly zeros
    del arrays["Y"]
    save_fixture(tmp_path / "out.npz", scan_from_arrays(arrays), 64)
    with zipfile.ZipFile(tmp_path / "out.npz") as archive:
        sizes = {info.filename: info.compress_size for info in archive.infolist()}
    assert "diff3d.npy" not in sizes
    assert sizes["diffraction.npy"] < 64 * 32 * 32  # half of the bytes


def test_the_sidecar_goes_where_it_is_told(source, tmp_path):
    content = save_fixture(
        tmp_path / "out.npz", load_scan(source), 4, metadata_out=tmp_path / "about" / "it.json"
    )
    assert json.loads((tmp_path / "about" / "it.json").read_text())["output"] == content["output"]
    assert content["command"].endswith("--metadata-out it.json")
    assert not (tmp_path / "out.json").exists()
    with pytest.raises(ValueError, match="the sidecar"):
        save_fixture(tmp_path / "x.npz", load_scan(source), 4, metadata_out=tmp_path / "x.npz")


@pytest.mark.parametrize(("modes", "shape"), [(1, (8, 8)), (2, (2, 8, 8))])
def test_a_single_probe_is_written_without_an_axis_of_modes(
    tmp_path, contract_arrays, modes, shape
):
    scan = scan_from_arrays(contract_arrays(modes=modes))
    save_fixture(tmp_path / "part.npz", scan, 4)
    save_scan(tmp_path / "whole.npz", scan)
    for name in ("part.npz", "whole.npz"):
        with np.load(tmp_path / name) as file:
            assert file["probeGuess"].shape == shape
        np.testing.assert_array_equal(load_scan(tmp_path / name).probe, scan.probe)
