"""Energy, distance, pixels and place: as files state them, and as a caller gives them."""

import json
import warnings

import attrs
import h5py
import numpy as np
import pytest
from ptycho_config.errors import InvalidValueError
from ptycho_data import (
    Scan,
    ScanFormatError,
    ScanFormatWarning,
    format_named,
    load_experiment,
    load_object,
    load_scan,
    save_scan,
    validate,
)
from ptycho_data.units import EV_J, object_pixel, wavelength

N, COUNT = 8, 30
ENERGY, DISTANCE, DETECTOR_PIXEL = 9000.0, 2.0, 75e-6
PIXEL = object_pixel(ENERGY, DISTANCE, DETECTOR_PIXEL, N)
PLACE = (3.1234e-3, -1.7e-3)
DET = "entry_1/instrument_1/detector_1"
ENERGY_AT = "entry_1/instrument_1/source_1/energy"
BEAM = "entry_1/instrument_1/beam_1"
MOVED = "entry_1/sample_1/geometry_1/translation"
RNG = np.random.default_rng(8)
COUNTS = RNG.poisson(60, (COUNT, N, N)).astype(np.uint16)
X, Y = RNG.uniform(6, 40, (2, COUNT))
PROBE = (RNG.normal(size=(1, N, N)) + 1j * RNG.normal(size=(1, N, N))).astype(np.complex64)
OBJECT = (RNG.normal(size=(46, 50)) + 1j).astype(np.complex64)


def make_scan(**fields):
    values = {"diffraction": COUNTS, "xcoords": X, "ycoords": Y, "probe": PROBE, "domain": "counts"}
    return Scan(**values | fields)


@pytest.fixture
def cxi(tmp_path):
    """Write a CXI file; a pair (value, unit) has an attribute, None leaves a dataset out."""

    def write(changes=None):
        datasets = {
            f"{DET}/data": COUNTS,
            f"{DET}/distance": DISTANCE,
            f"{DET}/x_pixel_size": DETECTOR_PIXEL,
            f"{DET}/y_pixel_size": DETECTOR_PIXEL,
            ENERGY_AT: ENERGY * EV_J,
            "entry_1/instrument_1/source_1/illumination": PROBE[0],
            MOVED: np.stack([X, Y, 0 * X], axis=1) * PIXEL,
        }
        path = tmp_path / "a.cxi"
        with h5py.File(path, "w") as file:
            for name, value in (datasets | (changes or {})).items():
                if value is None:
                    continue
                number, unit = value if isinstance(value, tuple) else (value, None)
                file[name] = number
                if unit is not None:
                    file[name].attrs["units"] = unit
            file["entry_1/data_1/data"] = h5py.SoftLink(f"/{DET}/data")
        return path

    return write


def quiet(path, **given):
    """Load a scan that warns of nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return load_scan(path, **given)


@pytest.mark.parametrize(
    "changes",
    [
        {f"{DET}/distance": (2000.0, "mm")},
        {f"{DET}/x_pixel_size": (75.0, "um"), f"{DET}/y_pixel_size": (75.0, b"micron")},
        {MOVED: (np.stack([X, Y, 0 * X], axis=1) * PIXEL * 1e9, "nm")},
        {ENERGY_AT: (9.0, "keV")},
        {ENERGY_AT: (3.0, "GeV"), f"{BEAM}/energy": (9000.0, "eV")},
        {ENERGY_AT: None, f"{BEAM}/incident_energy": (9.0, "keV")},
        {ENERGY_AT: None, f"{BEAM}/incident_wavelength": (wavelength(9000.0) * 1e10, "angstrom")},
        {ENERGY_AT: None, "entry_1/instrument_1/source_1/wavelength": wavelength(9000.0)},
    ],
    ids=lambda changes: " ".join(changes),
)
def test_units_and_places_of_a_file(cxi, changes):
    scan = quiet(cxi(changes))
    assert scan.photon_energy_ev == pytest.approx(ENERGY, rel=1e-9)
    assert scan.detector_distance_m == pytest.approx(DISTANCE)
    assert scan.detector_pixel_size_m == pytest.approx(DETECTOR_PIXEL)
    assert scan.pixel_size_m == pytest.approx(PIXEL, rel=1e-9)
    np.testing.assert_allclose(scan.xcoords, X, rtol=1e-9)
    np.testing.assert_allclose(scan.ycoords, Y, rtol=1e-9)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (f"{DET}/distance", (2.0, "furlong")),
        (ENERGY_AT, (9.0, "kelvin")),
        (MOVED, (np.stack([X, Y, 0 * X], axis=1), "counts")),
    ],
)
def test_an_unknown_unit_is_refused_by_name(cxi, name, value):
    with pytest.raises(ScanFormatError, match=f"units .{value[1]}. of {name}"):
        load_scan(cxi({name: value}))


def test_electronvolts_without_a_unit_are_told(cxi):
    with pytest.warns(ScanFormatWarning, match="taken as eV"):
        scan = load_scan(cxi({ENERGY_AT: 9000.0}))
    assert scan.pixel_size_m == pytest.approx(PIXEL)


@pytest.mark.parametrize("ring", [3.0, 3e9, 3e9 * EV_J, (3.0, "GeV")])
def test_the_energy_of_a_storage_ring_is_never_that_of_photons(cxi, ring):
    path = cxi({ENERGY_AT: ring})
    assert any("pixel" in found.rule and "ring" in found.got for found in validate(path))
    scan = quiet(path, photon_energy_ev=ENERGY)
    assert scan.photon_energy_ev == ENERGY
    np.testing.assert_allclose(scan.xcoords, X)
    with pytest.warns(ScanFormatWarning, match="storage ring"):
        scan = load_scan(path, pixel_size_m=PIXEL)
    assert scan.photon_energy_ev is None


@pytest.mark.parametrize(
    ("name", "given"),
    [
        (ENERGY_AT, {"photon_energy_ev": ENERGY}),
        (f"{DET}/distance", {"detector_distance_m": DISTANCE}),
        (ENERGY_AT, {"pixel_size_m": PIXEL}),
    ],
)
def test_what_the_file_lacks_can_be_given(cxi, name, given):
    path = cxi({name: None})
    assert validate(path)
    assert validate(path, **given) == []
    scan = quiet(path, **given)
    np.testing.assert_allclose(scan.xcoords, X)
    assert scan.pixel_size_m == pytest.approx(PIXEL)


def test_what_the_file_has_wrong_can_be_corrected(cxi):
    path = cxi({ENERGY_AT: 9.0 * EV_J})
    with pytest.warns(ScanFormatWarning, match="9000 eV as given, not 9 eV"):
        scan = load_scan(path, photon_energy_ev=ENERGY)
    np.testing.assert_allclose(scan.xcoords, X)
    assert scan.pixel_size_m == object_pixel(ENERGY, DISTANCE, DETECTOR_PIXEL, N)


def test_a_given_size_leaves_no_contradiction_behind(cxi):
    with pytest.warns(ScanFormatWarning, match="distance of the file left out"):
        scan = load_scan(cxi(), pixel_size_m=2 * PIXEL)
    assert scan.pixel_size_m == 2 * PIXEL
    assert scan.detector_distance_m is None
    np.testing.assert_allclose(scan.xcoords, X / 2)


def test_contradictions_of_the_caller_are_refused(cxi):
    given = {
        "photon_energy_ev": ENERGY,
        "detector_distance_m": DISTANCE,
        "detector_pixel_size_m": DETECTOR_PIXEL,
    }
    with pytest.raises(InvalidValueError) as caught:
        load_scan(cxi(), pixel_size_m=2 * PIXEL, **given)
    assert caught.value.name == "pixel_size_m"
    with pytest.raises(InvalidValueError) as caught:
        load_scan(cxi(), particle="neutron")
    assert caught.value.name == "particle"


def test_positions_in_pixels_keep_their_numbers(tmp_path):
    save_scan(tmp_path / "a.npz", make_scan(pixel_size_m=1e-8, photon_energy_ev=8000.0))
    with pytest.warns(ScanFormatWarning, match=r"as in the file"):
        scan = load_scan(
            tmp_path / "a.npz",
            photon_energy_ev=ENERGY,
            detector_distance_m=DISTANCE,
            detector_pixel_size_m=DETECTOR_PIXEL,
        )
    np.testing.assert_array_equal(scan.xcoords, X)
    assert scan.pixel_size_m == PIXEL


def test_electrons_by_the_particle(cxi):
    volts = 200e3
    pixel = object_pixel(volts, DISTANCE, DETECTOR_PIXEL, N, "electron")
    moved = np.stack([X, Y, 0 * X], axis=1) * pixel
    scan = quiet(cxi({ENERGY_AT: (200.0, "keV"), MOVED: moved}), particle="electron")
    assert (scan.particle, scan.photon_energy_ev) == ("electron", pytest.approx(volts))
    np.testing.assert_allclose(scan.xcoords, X)


@pytest.mark.parametrize("name", ["ptychodus", "cxi", "npz"])
def test_experiment_and_place_survive_every_format(tmp_path, name):
    scan = make_scan(
        object_guess=OBJECT,
        photon_energy_ev=200e3,
        detector_distance_m=DISTANCE,
        detector_pixel_size_m=DETECTOR_PIXEL,
        particle="electron",
        origin_m=PLACE,
    )
    format_named(name).write(tmp_path / "out", scan, False)
    read = quiet(tmp_path / "out")
    np.testing.assert_allclose(read.positions, scan.positions, atol=1e-5)
    assert read.origin_m == pytest.approx(PLACE, abs=1e-15)
    known = ("photon_energy_ev", "detector_distance_m", "detector_pixel_size_m", "pixel_size_m")
    for field in known:
        assert getattr(read, field) == pytest.approx(getattr(scan, field), rel=1e-12), field
    assert read.particle == "electron"
    assert load_experiment(tmp_path / "out")["particle"] == "electron"


def test_the_wavelength_of_electrons_is_right_for_others(tmp_path):
    scan = make_scan(photon_energy_ev=200e3, particle="electron", pixel_size_m=1e-11)
    format_named("ptychodus").write(tmp_path / "run", scan, False)
    format_named("cxi").write(tmp_path / "a.cxi", scan, False)
    with h5py.File(tmp_path / "run" / "product.h5") as file:
        product = wavelength(file.attrs["photon_energy_eV"])
    with h5py.File(tmp_path / "a.cxi") as file:
        energy = file[ENERGY_AT][()] / EV_J
    assert product == pytest.approx(2.5079e-12, rel=3e-5)
    assert wavelength(energy) == pytest.approx(product)


def product(folder, **changes):
    """Write a product whose object lies at `PLACE`."""
    scan = make_scan(object_guess=OBJECT, pixel_size_m=PIXEL, origin_m=PLACE)
    format_named("ptychodus").write(folder, attrs.evolve(scan, **changes), False)
    return folder / "product.h5"


def test_positions_are_on_the_grid_of_the_object_and_metres_are_kept(tmp_path):
    product(tmp_path / "in")
    scan = load_scan(tmp_path / "in")
    np.testing.assert_allclose(scan.xcoords, X, atol=1e-6)
    with h5py.File(product(tmp_path / "in2")) as before:
        format_named("ptychodus").write(tmp_path / "out", scan, False)
        with h5py.File(tmp_path / "out" / "product.h5") as after:
            for axis in "xy":
                one, other = (file[f"probe_position_{axis}_m"][()] for file in (before, after))
                np.testing.assert_allclose(other, one, rtol=0, atol=1e-15)
                centres = [file["object"].attrs[f"center_{axis}_m"] for file in (before, after)]
                assert centres[0] == pytest.approx(centres[1], abs=1e-15)


def test_positions_counted_from_the_middle_of_the_object_are_told(tmp_path):
    path = product(tmp_path / "in")
    with h5py.File(path, "a") as file:
        for axis in "xy":
            file[f"probe_position_{axis}_m"][...] -= file["object"].attrs[f"center_{axis}_m"]
    with pytest.warns(ScanFormatWarning, match=r"lie outside of the object.* must be 0"):
        load_scan(tmp_path / "in")
    with pytest.warns(ScanFormatWarning, match="lie outside of the object"):
        load_object(path)


def test_an_object_of_other_pixels_is_left_out(tmp_path):
    product(tmp_path / "in")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        scan = load_scan(tmp_path / "in", pixel_size_m=PIXEL / 2)
    assert any("object left out: its pixels are" in str(one.message) for one in caught)
    assert scan.object_guess is None
    metres = scan.origin_m[0] + scan.xcoords * scan.pixel_size_m
    np.testing.assert_allclose(metres, PLACE[0] + X * PIXEL)


def test_a_nominal_size_is_replaced_without_a_change_of_pixels(tmp_path):
    format_named("ptychodus").write(tmp_path / "in", make_scan(object_guess=OBJECT), False)
    scan = quiet(tmp_path / "in", pixel_size_m=PIXEL)
    np.testing.assert_allclose(scan.xcoords, X, atol=1e-6)
    assert scan.pixel_size_m == PIXEL
    assert scan.origin_m is None


def test_pixels_that_are_not_square(tmp_path):
    path = product(tmp_path / "in", object_guess=None)
    with h5py.File(path, "a") as file:
        for name in ("object", "probe"):
            file[name].attrs["pixel_height_m"] = PIXEL / 2
    with pytest.warns(ScanFormatWarning, match="object pixels are not square"):
        scan = load_scan(tmp_path / "in")
    assert scan.pixel_size_m is None
    assert scan.origin_m is None
    np.testing.assert_allclose(np.ptp(scan.ycoords), 2 * np.ptp(Y))


def test_positions_in_float32_far_from_zero_are_told(tmp_path, cxi):
    save_scan(tmp_path / "a.npz", make_scan())
    with np.load(tmp_path / "a.npz") as file:
        arrays = dict(file)
    for key in ("xcoords", "ycoords"):
        arrays[key] = (arrays[key] + 4e7).astype(np.float32)
    np.savez(tmp_path / "far.npz", **arrays)
    with pytest.warns(ScanFormatWarning, match=r"rounds them to 4 pixels"):
        load_scan(tmp_path / "far.npz")
    near = np.stack([X, Y, 0 * X], axis=1) * PIXEL
    quiet(cxi({MOVED: near.astype(np.float32)}))
    with pytest.warns(ScanFormatWarning, match="rounds them"):
        load_scan(cxi({MOVED: (((near + 1) * 1e3).astype(np.float32), "mm")}))


def test_experiment_of_a_file_without_its_patterns(tmp_path):
    scan = make_scan(pixel_size_m=PIXEL, origin_m=PLACE)
    save_scan(tmp_path / "a.npz", scan)
    assert load_experiment(tmp_path / "a.npz") == {"pixel_size_m": PIXEL, "origin_m": PLACE}
    with np.load(tmp_path / "a.npz") as file:
        arrays = dict(file) | {"_metadata": np.array(json.dumps({"particle": "muon"}))}
    np.savez(tmp_path / "odd.npz", **arrays)
    with pytest.raises(ScanFormatError, match="muon"):
        load_experiment(tmp_path / "odd.npz")


def test_lcls_in_metres_takes_what_is_given(tmp_path):
    place = tmp_path / "a.npz"
    arrays = {"diffraction": np.moveaxis(COUNTS, 0, 2), "probeGuess": PROBE[0]}
    arrays |= {"xcoords": X * PIXEL, "ycoords": Y * PIXEL, "detector_distance_m": DISTANCE}
    np.savez(place, **arrays, detector_pixel_size_m=DETECTOR_PIXEL, photon_energy_eV=9.0)
    with pytest.warns(ScanFormatWarning, match="9000 eV as given, not 9 eV"):
        scan = load_scan(place, photon_energy_ev=ENERGY)
    np.testing.assert_allclose(scan.xcoords, X)
    assert (scan.pixel_size_m, scan.photon_energy_ev) == (PIXEL, ENERGY)
    assert scan.origin_m == (0.0, 0.0)


@pytest.mark.parametrize("unit_m", [1.0, 1e-10], ids=["metres", "angstrom"])
def test_fold_slice_of_electrons(tmp_path, unit_m):
    volts, pixel = 300e3, 2.5e-11
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        file["dp"] = COUNTS
        file["ppX"], file["ppY"] = X * pixel / unit_m, Y * pixel / unit_m
        file["lambda"], file["dx"] = wavelength(volts, "electron") / unit_m, pixel / unit_m
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ScanFormatWarning)
        scan = load_scan(tmp_path / "a.hdf5", particle="electron")
    assert scan.particle == "electron"
    assert scan.photon_energy_ev == pytest.approx(volts, rel=1e-9)
    assert scan.pixel_size_m == pytest.approx(pixel)
    np.testing.assert_allclose(scan.xcoords, X)


def test_the_voltage_of_a_microscope_is_not_taken_for_photons_in_silence(tmp_path):
    save_scan(tmp_path / "a.npz", make_scan(photon_energy_ev=200e3))
    with pytest.warns(ScanFormatWarning, match="give --particle electron"):
        load_scan(tmp_path / "a.npz")
    assert quiet(tmp_path / "a.npz", particle="electron").particle == "electron"
    assert quiet(tmp_path / "a.npz", particle="photon").particle == "photon"
