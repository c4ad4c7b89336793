"""Each format: told by content, read into pixels, written and read again, refused in one line.

What other programs make of these files, and we of theirs, is tested where they are installed
(tests/client of the workspace).
"""

import shutil
import time
import warnings

import attrs
import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ptycho_config.errors import InvalidValueError
from ptycho_data import (
    FORMATS,
    OutputExistsError,
    Scan,
    ScanFormatError,
    ScanFormatWarning,
    list_arrays,
    load_parts,
    load_probe,
    load_scan,
    probe_size,
    save_scan,
    stated_photons,
    validate,
)
from ptycho_data._stack import LazyStack
from ptycho_data.formats import format_named, format_of
from ptycho_data.units import object_pixel, wavelength

PIXEL = 1.7e-8
WRITERS = [one for one in FORMATS if one.write]


def make_scan(n=13, N=8, **changes):
    rng = np.random.default_rng(n + N)

    def field(*shape):
        return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64)

    values = {
        "diffraction": rng.poisson(20, (n, N, N)).astype(np.uint16),
        "xcoords": rng.uniform(10, 60, n),
        "ycoords": rng.uniform(-3, 60, n),
        "probe": field(2, N, N),
        "object_guess": field(70, 85),
        "bad_pixels": np.arange(N * N).reshape(N, N) % 11 == 3,
        "domain": "counts",
        "pixel_size_m": PIXEL,
        "photon_energy_ev": 9000.0,
        "detector_distance_m": 1.5,
    }
    return Scan(**values | changes)


def same(read, scan, *, but=()):
    fields = {"diffraction", "probe", "object_guess", "bad_pixels", "domain"} - set(but)
    for name in fields:
        np.testing.assert_array_equal(getattr(read, name), getattr(scan, name), err_msg=name)
    np.testing.assert_allclose(read.positions, scan.positions, rtol=0, atol=1e-9)
    for name in {"pixel_size_m", "photon_energy_ev", "detector_distance_m"} - set(but):
        assert getattr(read, name) == pytest.approx(getattr(scan, name)), name


def written(one, folder, scan, name="out"):
    path = folder / name
    lost = one.write(path, scan, False)
    return path, lost


@pytest.mark.parametrize("N", [8, 9])
@pytest.mark.parametrize("one", WRITERS, ids=lambda one: one.name)
def test_what_is_written_is_read_again(tmp_path, one, N):
    scan = make_scan(N=N)
    path, lost = written(one, tmp_path, scan)
    assert lost == []
    assert format_of(path) is one
    read = load_scan(path)
    same(read, scan)
    # HDF5 is written in chunks, which have checksums
    assert isinstance(read.diffraction, np.memmap if one.name == "npz" else LazyStack)
    assert all(file.is_file() for file in read.files)
    assert read.source == read.files[0]


@pytest.mark.filterwarnings("ignore:.*lie outside of the object")
@settings(max_examples=8, deadline=None)
@given(
    N=st.integers(2, 9),
    n=st.integers(2, 12),
    dtype=st.sampled_from(["u1", ">u2", "i8", "f4", "f8"]),
    optional=st.sets(st.sampled_from(["object_guess", "bad_pixels", "pixel_size_m"])),
    origin=st.tuples(st.integers(-900, 900), st.integers(-900, 900)),
)
def test_round_trip_between_all_formats(tmp_path_factory, N, n, dtype, optional, origin):
    folder = tmp_path_factory.mktemp("all")
    scan = make_scan(n, N, **dict.fromkeys(optional - {"pixel_size_m"}))
    scan = attrs.evolve(
        scan,
        diffraction=scan.diffraction.astype(dtype),
        xcoords=scan.xcoords + origin[0],
        ycoords=scan.ycoords + origin[1],
        pixel_size_m=None if "pixel_size_m" in optional else PIXEL,
    )
    read = scan
    for step, one in enumerate([*WRITERS, *WRITERS[::-1]]):
        one.write(folder / str(step), read, False)
        read = load_scan(folder / str(step))
    same(read, scan, but=("bad_pixels",))
    if scan.bad_pixels is None:
        assert read.bad_pixels is None or not read.bad_pixels.any()


def test_names_do_not_matter(tmp_path):
    scan = make_scan()
    for one, name in ((format_named("npz"), "a.cxi"), (format_named("cxi"), "b.npz")):
        path, _ = written(one, tmp_path, scan, name)
        assert format_of(path) is one
        same(load_scan(path), scan)
        assert load_scan(path).n == 13


@pytest.mark.parametrize("one", WRITERS, ids=lambda one: one.name)
def test_nothing_is_overwritten_and_bytes_are_the_same(tmp_path, one):
    scan = make_scan()
    path, _ = written(one, tmp_path, scan)
    before = {file: file.read_bytes() for file in load_scan(path).files}
    with pytest.raises(OutputExistsError):
        one.write(path, scan, False)
    time.sleep(1.1)  # HDF5 would write the second
    one.write(path, scan, True)
    assert {file: file.read_bytes() for file in before} == before
    one.write(path, make_scan(n=5), True)
    assert load_scan(path).n == 5


@pytest.mark.parametrize("name", ["ptychodus", "cxi"])
def test_no_object_is_made_for_positions_that_are_too_far_apart(tmp_path, name):
    x, y = make_scan().positions.T.copy()
    x[5], y[5] = 3e6, 2e6
    scan = make_scan(xcoords=x, ycoords=y, object_guess=None)
    with pytest.raises(InvalidValueError, match="number 5") as caught:
        written(format_named(name), tmp_path, scan)
    assert caught.value.name == "positions"


@pytest.mark.parametrize("name", ["ptychodus", "cxi"])
def test_what_cannot_be_carried_over_is_said(tmp_path, name):
    amplitude = np.sqrt(make_scan().diffraction / 100).astype(np.float32)
    scan = make_scan(
        diffraction=amplitude, domain="amplitude", nphotons=500.0, pixel_size_m=None,
        photon_energy_ev=None, object_guess=None,
        xcoords_start=np.arange(13.0), patches=np.ones((13, 8, 8), np.complex64),
    )  # fmt: skip
    _, lost = written(format_named(name), tmp_path, scan)
    assert [line.split(":")[0] for line in lost] == [
        "the object pixel is unknown",
        "photon energy, detector pixel",
        "no object in the scan",
        "Y (ground-truth patches)",
        "nominal positions (xcoords_start, ycoords_start)",
        "amplitudes",
    ]
    read = load_scan(tmp_path / "out")
    np.testing.assert_allclose(read.counts(), scan.counts(), rtol=1e-6)
    assert read.domain == "counts"
    assert read.object_guess is None  # ones stand in for it
    assert read.pixel_size_m is None  # nominal
    np.testing.assert_allclose(read.positions, scan.positions, atol=1e-9)
    unknown = attrs.evolve(scan, nphotons=None)
    with pytest.raises(ValueError, match="nphotons must be"):
        format_named(name).write(tmp_path / "other", unknown, False)
    assert not (tmp_path / "other").exists() or not list((tmp_path / "other").iterdir())


@pytest.mark.parametrize("name", ["ptychodus", "cxi"])
def test_formats_that_cannot_tell_scans_apart_take_one(tmp_path, name):
    scan = make_scan(scan_index=np.repeat([0, 1], [6, 7]))
    with pytest.raises(InvalidValueError) as caught:
        written(format_named(name), tmp_path, scan)
    assert caught.value.name.endswith("scan_index")
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())
    written(format_named(name), tmp_path, scan.single(1))


@pytest.fixture
def pair(tmp_path):
    written(format_named("ptychodus"), tmp_path, make_scan(), "pair")
    return tmp_path / "pair"


def test_a_pair_by_either_file_or_the_folder_or_by_name(pair, tmp_path):
    scan = make_scan()
    for path in (pair, pair / "diffraction.h5", pair / "product.h5"):
        same(load_scan(path), scan)
        assert validate(path) == []
    (tmp_path / "far").mkdir()
    moved = shutil.move(pair / "product.h5", tmp_path / "far" / "x.dat")
    with pytest.raises(
        ScanFormatError, match=r"diffraction\.h5 must be .*no product, here or in a file"
    ):
        load_scan(pair)
    same(load_scan(pair, companion=moved), scan)
    same(load_scan(moved, companion=pair / "diffraction.h5"), scan)
    with pytest.raises(ScanFormatError, match="without product"):
        load_scan(pair, companion=pair / "diffraction.h5")
    for name in ("one.h5", "two.h5"):
        shutil.copy(moved, pair / name)
    with pytest.raises(ScanFormatError, match=r"2 files with product .*one\.h5, two\.h5"):
        load_scan(pair)


def test_a_folder_says_what_is_missing_in_it(tmp_path):
    with pytest.raises(ScanFormatError, match="a folder without a file of patterns"):
        load_scan(tmp_path)
    for name in ("a.npz", "b.npz"):
        written(format_named("npz"), tmp_path, make_scan(), name)
    with pytest.raises(ScanFormatError, match=r"2 files of patterns \(a\.npz, b\.npz\)"):
        load_scan(tmp_path)


def test_what_is_no_scan_is_told_with_what_it_holds(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["entry/data"] = np.zeros(3)
    with pytest.raises(ScanFormatError, match=r"must be a scan in one of .*that holds: entry/data"):
        load_scan(tmp_path / "a.h5")
    (tmp_path / "b").write_bytes(b"hello")
    with pytest.raises(ScanFormatError, match="neither a zip archive nor HDF5"):
        load_scan(tmp_path / "b")
    with pytest.raises(ValueError, match="got 'tiff'"):
        format_named("tiff")


def edit(path, changes):
    """Replace datasets of a file; None removes one."""
    with h5py.File(path, "a") as file:
        for name, values in changes.items():
            if name in file:
                del file[name]
            if values is not None:
                file[name] = values


def test_every_violation_of_a_product_at_once(pair):
    edit(pair / "diffraction.h5", {"bad_pixels": np.zeros((3, 3), bool)})
    edit(pair / "product.h5", {"probe": np.ones((1, 1, 5, 5), complex), "object": np.arange(4) + 1j,
                               "probe_position_y_m": np.full(13, np.nan)})  # fmt: skip
    with h5py.File(pair / "product.h5", "a") as file:
        file["object"].attrs.update(pixel_width_m=PIXEL, pixel_height_m=PIXEL,
                                    center_x_m=0.0, center_y_m=0.0)  # fmt: skip
    found = {violation.key: violation.got for violation in validate(pair)}
    assert set(found) == {"bad_pixels", "probe of product.h5", "object of product.h5",
                          "probe_position_y_m of product.h5"}  # fmt: skip


@pytest.mark.parametrize("name", ["probe_position_x_m", "probe_position_y_m", "probe"])
def test_half_a_product_is_none(pair, name):
    edit(pair / "product.h5", {name: None})
    with pytest.raises(ScanFormatError, match="no product"):
        load_scan(pair)


def test_old_products(pair):
    with h5py.File(pair / "product.h5", "a") as file:
        file.attrs["probe_energy_eV"] = file.attrs.pop("photon_energy_eV")
        file["costs"] = file["loss_values"][()]
        del file["loss_values"], file["loss_epochs"]
        for key in ("pixel_width_m", "pixel_height_m"):
            del file["probe"].attrs[key]
    same(load_scan(pair), make_scan())


def test_the_pixel_from_the_geometry_and_contradictions(pair):
    with h5py.File(pair / "product.h5", "a") as file:
        for name in ("probe", "object"):
            file[name].attrs.update(pixel_width_m=0.0, pixel_height_m=0.0)
    same(load_scan(pair), make_scan())  # detector pixel in the other file
    with h5py.File(pair / "diffraction.h5", "a") as file:
        size = file["patterns"].attrs["detector_pixel_width_m"]
        assert object_pixel(9000.0, 1.5, size, 8) == pytest.approx(PIXEL)
        for key in ("detector_pixel_width_m", "detector_pixel_height_m"):
            del file["patterns"].attrs[key]
    with pytest.raises(ScanFormatError, match=r"no pixel size; pass what the file lacks"):
        load_scan(pair)
    same(load_scan(pair, pixel_size_m=PIXEL), make_scan())
    with h5py.File(pair / "diffraction.h5", "a") as file:
        file["patterns"].attrs.update(detector_pixel_width_m=size, detector_pixel_height_m=size)
    with h5py.File(pair / "product.h5", "a") as file:
        for name in ("probe", "object"):
            file[name].attrs.update(pixel_width_m=2 * PIXEL, pixel_height_m=2 * PIXEL)
    with pytest.warns(ScanFormatWarning, match=r"stated as 34 nm, .* is 17 nm"):
        load_scan(pair)


def test_numbers_pair_patterns_and_positions(pair):
    numbers = np.array([5, -1, 2, 3, 9, 0, 4, 7, -1, 1, 6, 40, 8])
    edit(pair / "diffraction.h5", {"indexes": numbers})
    where = np.array([0, 2, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])
    edit(pair / "product.h5", {"probe_position_indexes": where})
    with pytest.warns(ScanFormatWarning) as told:
        scan, read = make_scan(), load_scan(pair)
    assert [str(one.message).split(": ", 1)[1][:28] for one in told] == [
        "13 positions and 10 patterns",  # 10 to 12 come after the last
        "13 positions and 13 patterns",  # 40 has none
    ]
    kept = [row for row, number in enumerate(numbers) if 0 <= number <= 12]
    np.testing.assert_array_equal(read.diffraction, scan.diffraction[kept])
    assert isinstance(read.diffraction, LazyStack)
    x = {number: scan.xcoords[where == number].mean() for number in where}
    x[1] = (x[0] + x[2]) / 2  # no position of its own: between its neighbours
    np.testing.assert_allclose(read.xcoords, [x[numbers[row]] for row in kept])
    edit(pair / "diffraction.h5", {"indexes": np.full(13, 99)})
    with pytest.raises(ScanFormatError, match="numbers that no pattern has"):
        load_scan(pair)
    edit(pair / "diffraction.h5", {"indexes": np.zeros(12, int)})
    with pytest.raises(ScanFormatError, match=r"numbered by integers of shape \(13,\)"):
        load_scan(pair)


def test_probes_that_vary_and_objects_in_layers(pair):
    scan = make_scan()
    with h5py.File(pair / "product.h5", "a") as file:
        kept = {name: dict(file[name].attrs) for name in ("probe", "object")}
    more = {"probe": np.stack([scan.probe, 0 * scan.probe]),
            "object": np.stack([scan.object_guess, 0 * scan.object_guess])}  # fmt: skip
    edit(pair / "product.h5", more)
    with h5py.File(pair / "product.h5", "a") as file:
        for name, attributes in kept.items():
            file[name].attrs.update(attributes)
    with pytest.warns(ScanFormatWarning) as told:
        same(load_scan(pair), scan)
    messages = " ".join(str(line.message) for line in told)
    assert "the probe varies over the scan (2 components)" in messages
    assert "the object has 2 layers" in messages


@pytest.fixture
def cxi(tmp_path):
    return written(format_named("cxi"), tmp_path, make_scan(), "a.cxi")[0]


def test_cxi_energy_is_in_joules(cxi):
    with h5py.File(cxi) as file:
        energy = file["entry_1/instrument_1/source_1/energy"][()]
    assert energy == pytest.approx(9000 * 1.602176634e-19)
    assert load_scan(cxi).photon_energy_ev == pytest.approx(9000)


def test_cxi_without_anything_of_ptychodus(cxi):
    edit(cxi, {"entry_1/ptychodus": None, "entry_1/image_1": None, "entry_1/image_2": None})
    with pytest.warns(ScanFormatWarning, match="no probe in the file"):
        read = load_scan(cxi)
    same(read, make_scan(), but=("probe", "object_guess"))
    assert read.object_guess is None
    assert probe_size(cxi) == 8


def test_a_probe_file_stands_in_for_the_scan_s_probe(cxi, tmp_path):
    probe = np.full((2, 8, 8), 1 + 2j, np.complex64)
    np.savez(tmp_path / "probe.npz", probe=probe)
    edit(cxi, {"entry_1/ptychodus": None, "entry_1/image_1": None, "entry_1/image_2": None})
    read = load_scan(cxi, probe_file=tmp_path / "probe.npz")  # and no warning
    np.testing.assert_array_equal(read.probe, probe)
    scan = make_scan()
    save_scan(tmp_path / "own.npz", scan)
    with np.load(tmp_path / "own.npz") as file:
        arrays = {name: file[name] for name in file if name != "probeGuess"}
    np.savez(tmp_path / "none.npz", **arrays)
    for name in ("own.npz", "none.npz"):
        read = load_scan(tmp_path / name, probe_file=tmp_path / "probe.npz")
        np.testing.assert_array_equal(read.probe, probe)
    np.savez(tmp_path / "probe.npz", probe=probe[:, :4, :4])
    with pytest.raises(ScanFormatError, match=r"probe\.npz: probe must be of 8 x 8 .*, got 4 x 4"):
        load_scan(tmp_path / "none.npz", probe_file=tmp_path / "probe.npz")


def test_cxi_masks_bit_by_bit_and_pattern_by_pattern(cxi):
    mask = "entry_1/instrument_1/detector_1/mask"
    bits = np.zeros((8, 8), np.uint32)
    bits[1, 2], bits[3, 4], bits[5, 6] = 0x1000, 0x1001, 0x8  # has signal; and invalid; dead
    edit(cxi, {mask: bits})
    assert np.argwhere(load_scan(cxi).bad_pixels).tolist() == [[3, 4], [5, 6]]
    edit(cxi, {mask: np.stack([bits, *[0 * bits] * 12])})
    assert np.argwhere(load_scan(cxi).bad_pixels).tolist() == [[3, 4], [5, 6]]


def test_cxi_that_says_it_is_corner_centred(cxi):
    data, mask = (f"entry_1/instrument_1/detector_1/{name}" for name in ("data", "mask"))
    scan = make_scan()
    edit(cxi, {data: np.fft.ifftshift(scan.diffraction, axes=(1, 2)),
               mask: np.fft.ifftshift(scan.bad_pixels).astype(np.uint8)})  # fmt: skip
    with h5py.File(cxi, "a") as file:
        file[data].attrs["is_fft_shifted"] = True
    same(load_scan(cxi), scan)


def test_cxi_older_places(cxi):
    with h5py.File(cxi, "a") as file:
        positions = file["entry_1/sample_1/geometry_1/translation"][()]
        probe = file["entry_1/image_1/data"][()]
        del file["entry_1/sample_1"], file["entry_1/data_1"], file["entry_1/image_1"]
        file["entry_1/data_1/translation"] = positions
        file["entry_1/instrument_1/source_1/illumination"] = probe[0]
    same(load_scan(cxi), make_scan())


def test_cxi_violations(cxi):
    edit(cxi, {"entry_1/sample_1/geometry_1/translation": np.zeros(13)})
    with pytest.raises(ScanFormatError, match=r"geometry_1/translation must be of shape \(n, 3\)"):
        load_scan(cxi)
    edit(cxi, {"entry_1/sample_1/geometry_1/translation": np.zeros((12, 3)),
               "entry_1/ptychodus/probe_position_indexes": None})  # fmt: skip
    with pytest.raises(ScanFormatError, match="13"):
        load_scan(cxi)


def write_fold_slice(folder, scan, *, files=2, **changes):
    names = ("s_dp.hdf5", "s_para.hdf5") if files == 2 else ("s.h5", "s.h5")
    values = {"dp": scan.diffraction, "ppX": scan.xcoords[np.newaxis] * PIXEL,
              "ppY": scan.ycoords * PIXEL, "dx": PIXEL, "lambda": wavelength(9000)}  # fmt: skip
    for name, array in (values | changes).items():
        if array is None:
            continue
        with h5py.File(folder / names[name != "dp"], "a") as file:
            file[name] = array
    return folder / names[0]


@pytest.mark.parametrize("files", [1, 2])
def test_fold_slice(tmp_path, files):
    scan = make_scan()
    path = write_fold_slice(tmp_path, scan, files=files)
    for name in {path, path.with_name(path.name.replace("_dp", "_para"))}:
        with pytest.warns(ScanFormatWarning, match="no probe in the file"):
            read = load_scan(name)
        same(read, scan, but=("probe", "object_guess", "bad_pixels", "detector_distance_m"))


def test_fold_slice_in_a_crowd_and_without_a_size(tmp_path):
    scan = make_scan()
    path = write_fold_slice(tmp_path, scan, dx=None)
    write_fold_slice(tmp_path / ".", scan, files=1, dp=None)  # other positions beside it
    with pytest.raises(ScanFormatError, match=r"s_dp\.hdf5: ppX must .*--pixel-size-m"):
        load_scan(path)
    with pytest.warns(ScanFormatWarning):
        np.testing.assert_allclose(load_scan(path, pixel_size_m=PIXEL).positions, scan.positions)
    edit(tmp_path / "s_para.hdf5", {"ppX": np.zeros(12)})
    with pytest.raises(ScanFormatError, match=r"\(12,\) positions for 13 patterns"):
        load_scan(path, pixel_size_m=PIXEL)


def matlab_file(folder, scan, unit_m, *, marks, **changes):
    """As h5write of MATLAB (no marks), or save -v7.3, which puts a text of 512 bytes in front."""
    path = folder / "m_dp.hdf5"
    userblock = {"userblock_size": 512} if marks == "text" else {}
    with h5py.File(path, "w", **userblock) as file:
        dp = np.moveaxis(scan.diffraction, 1, 2).astype(np.float64)
        file.create_dataset("dp", data=dp, chunks=(1, *dp.shape[1:]), compression="gzip")
        if marks == "attribute":
            file["dp"].attrs["MATLAB_class"] = np.bytes_("double")
        values = {"ppX": scan.xcoords[np.newaxis] * PIXEL / unit_m,
                  "ppY": scan.ycoords[np.newaxis] * PIXEL / unit_m}  # fmt: skip
        for name, array in (values | changes).items():
            file[name] = array
    if marks == "text":
        with path.open("r+b") as file:
            file.write(b"MATLAB 7.3 MAT-file".ljust(128))
    return path


@pytest.mark.parametrize("marks", ["none", "attribute", "text"])
@pytest.mark.parametrize("length", [None, "dx", "lambda"])
def test_fold_slice_of_electrons_as_matlab_writes_it(tmp_path, marks, length):
    scan = make_scan(xcoords=np.linspace(0, 90, 13))
    known = {None: {}, "dx": {"dx": PIXEL / 1e-10}, "lambda": {"lambda": 0.0197}}[length]
    path = matlab_file(tmp_path, scan, 1e-10, marks=marks, **known)
    np.savez(tmp_path / "probe.npz", probe=scan.probe)
    given = {} if length == "dx" else {"pixel_size_m": PIXEL}
    with pytest.warns(ScanFormatWarning, match="rows and columns of the patterns were exchanged"):
        read = load_scan(path, probe_file=tmp_path / "probe.npz", **given)
    np.testing.assert_array_equal(read.diffraction, scan.diffraction)
    np.testing.assert_allclose(read.positions, scan.positions, atol=1e-9)
    assert read.pixel_size_m == pytest.approx(PIXEL)
    assert read.particle == "electron"
    if length == "lambda":
        assert read.photon_energy_ev == pytest.approx(300e3, rel=2e-3)  # 300 kV: 0.0197 angstrom
    save_scan(tmp_path / "again.npz", read)
    np.testing.assert_array_equal(load_scan(tmp_path / "again.npz").diffraction, scan.diffraction)


@pytest.mark.parametrize("marks", ["attribute", "text"])
def test_fold_slice_of_matlab_in_metres(tmp_path, marks):
    scan = make_scan()
    path = matlab_file(tmp_path, scan, 1.0, marks=marks, dx=PIXEL)
    with pytest.warns(ScanFormatWarning) as told:
        read = load_scan(path)
    assert sum("exchanged" in str(one.message) for one in told) == 1
    np.testing.assert_array_equal(read.diffraction, scan.diffraction)
    assert (read.particle, read.pixel_size_m) == ("photon", pytest.approx(PIXEL))


def test_fold_slice_with_stated_units(tmp_path):
    scan = make_scan()
    path = write_fold_slice(tmp_path, scan, files=1, ppX=scan.xcoords * PIXEL * 1e6,
                            ppY=scan.ycoords * PIXEL * 1e6)  # fmt: skip
    with h5py.File(path, "a") as file:
        file["ppX"].attrs["units"] = file["ppY"].attrs["units"] = "um"
    with pytest.warns(ScanFormatWarning, match="no probe"):
        read = load_scan(path)
    np.testing.assert_allclose(read.positions, scan.positions, atol=1e-9)
    np.testing.assert_array_equal(read.diffraction, scan.diffraction)


def write_lcls(path, scan, unit=1.0, **changes):
    values = {
        "diffraction": np.moveaxis(scan.diffraction, 0, 2),
        "xcoords": scan.xcoords * unit,
        "ycoords": scan.ycoords * unit,
        "probeGuess": scan.probe[0],
        "objectGuess": scan.object_guess,
    }
    np.savez(path, **{k: v for k, v in (values | changes).items() if v is not None})
    return path


GEOMETRY = {
    "photon_energy_eV": 9000.0,
    "detector_distance_m": 1.5,
    "detector_pixel_size_m": object_pixel(9000.0, 1.5, PIXEL, 8),
}


def test_lcls_in_pixels_and_in_metres(tmp_path):
    scan = make_scan()
    path = tmp_path / "a.npz"
    read = load_scan(write_lcls(path, scan))
    assert format_of(path).name == "lcls"
    np.testing.assert_array_equal(read.diffraction, scan.diffraction)
    np.testing.assert_array_equal(read.positions, scan.positions)
    np.testing.assert_array_equal(read.object_guess, scan.object_guess)
    for known in ({"pixel_size_m": PIXEL}, GEOMETRY):
        read = load_scan(write_lcls(path, scan, PIXEL, **known))
        np.testing.assert_allclose(read.positions, scan.positions, rtol=1e-12)
        assert read.pixel_size_m == pytest.approx(PIXEL)
        assert read.object_guess is None
    assert read.photon_energy_ev == 9000
    write_lcls(path, scan, PIXEL)
    with pytest.raises(ScanFormatError, match=r"xcoords must .*metres .*--pixel-size-m"):
        load_scan(path)
    np.testing.assert_allclose(load_scan(path, pixel_size_m=PIXEL).positions, scan.positions)


def test_lcls_with_nominal_positions_alone(tmp_path):
    scan = make_scan()
    nominal = {"xcoords": None, "ycoords": None, "xcoords_start": scan.xcoords,
               "ycoords_start": scan.ycoords}  # fmt: skip
    read = load_scan(write_lcls(tmp_path / "a.npz", scan, **nominal))
    np.testing.assert_array_equal(read.positions, scan.positions)


def test_lcls_violations_are_listed_like_those_of_the_contract(tmp_path):
    bad = {"probeGuess": np.zeros((8, 8)), "scan_index": np.zeros(3)}
    path = write_lcls(tmp_path / "a.npz", make_scan(), PIXEL, **bad)
    assert {found.key for found in validate(path)} == {"xcoords", "probeGuess", "scan_index"}


@pytest.mark.parametrize("one", WRITERS, ids=lambda one: one.name)
def test_parts_of_every_format(tmp_path, one):
    scan = make_scan()
    path, _ = written(one, tmp_path, scan)
    assert probe_size(path) == 8
    assert stated_photons(path) is None
    np.testing.assert_array_equal(load_probe(path), scan.probe)
    parts = load_parts(path, ("objectGuess", "xcoords", "Y", "diffraction"))
    assert set(parts) == {"objectGuess", "xcoords"}
    np.testing.assert_allclose(parts["xcoords"], scan.xcoords, atol=1e-9)
    names = [name for name, _ in list_arrays(path)]
    assert any(name.endswith(("diffraction", "patterns", "data")) for name in names)


def test_a_product_alone_is_enough_for_its_parts(pair):
    scan = make_scan()
    (pair / "diffraction.h5").unlink()
    product = pair / "product.h5"
    np.testing.assert_array_equal(load_probe(product), scan.probe)
    assert probe_size(product) == 8
    parts = load_parts(product, ("objectGuess", "ycoords"))
    np.testing.assert_array_equal(parts["objectGuess"], scan.object_guess)
    np.testing.assert_allclose(parts["ycoords"], scan.ycoords, atol=1e-9)
    with pytest.raises(ScanFormatError, match="no patterns, here or in a file beside it"):
        load_scan(product)


def test_nothing_of_the_warnings_reaches_validate(tmp_path):
    path = write_fold_slice(tmp_path, make_scan())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert validate(path) == []
