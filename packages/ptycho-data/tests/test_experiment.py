"""Experiment and place on the stage, kept by a scan through files and selections."""

import json
import pickle
import warnings

import attrs
import numpy as np
import pytest
from ptycho_config.errors import InvalidValueError
from ptycho_data import Scan, ScanFormatError, ScanFormatWarning, load_scan, save_scan
from ptycho_data.units import object_pixel

PLACE = (3.1234e-3, -1.7e-3)
#: 57.4 nm for 64 pixels.
GEOMETRY = {
    "photon_energy_ev": 9000.0,
    "detector_distance_m": 2.0,
    "detector_pixel_size_m": 75e-6,
}


@pytest.fixture
def make_scan(contract_arrays):
    """Make a small scan, of unknown object pixel but for the fields given."""
    arrays = contract_arrays()

    def make(**fields):
        return Scan(
            diffraction=arrays["diffraction"],
            xcoords=arrays["xcoords"],
            ycoords=arrays["ycoords"],
            probe=arrays["probeGuess"],
            domain="counts",
            **fields,
        )

    return make


def test_energy_distance_and_detector_pixel_give_the_object_pixel(make_scan, tmp_path):
    scan = make_scan(**GEOMETRY)
    pixel = object_pixel(9000, 2, 75e-6, scan.N)
    assert scan.pixel_size_m == pixel
    assert attrs.evolve(scan, detector_distance_m=4.0).pixel_size_m == 2 * pixel
    assert make_scan(photon_energy_ev=9000).pixel_size_m is None
    save_scan(tmp_path / "scan.npz", scan)
    assert load_scan(tmp_path / "scan.npz").pixel_size_m == pixel


def test_a_file_without_the_size_gives_it_by_its_geometry(make_scan, tmp_path):
    save_scan(tmp_path / "scan.npz", make_scan())
    with np.load(tmp_path / "scan.npz") as file:
        arrays = dict(file)
    arrays["_metadata"] = np.array(
        json.dumps(
            {"photon_energy_eV": 9000, "detector_distance_m": 2, "detector_pixel_size_m": 75e-6}
        )
    )
    np.savez(tmp_path / "stated.npz", **arrays)
    scan = load_scan(tmp_path / "stated.npz")
    assert scan.pixel_size_m == object_pixel(9000, 2, 75e-6, scan.N)


def test_electrons_have_another_pixel(make_scan):
    electrons = make_scan(**(GEOMETRY | {"photon_energy_ev": 200e3}), particle="electron")
    assert electrons.pixel_size_m == pytest.approx(2.5079e-12 * 2 / (electrons.N * 75e-6), rel=3e-5)


def test_a_contradictory_size_is_said_once(make_scan):
    with pytest.warns(ScanFormatWarning, match="the stated one was taken"):
        scan = make_scan(**GEOMETRY, pixel_size_m=1e-8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert scan.select(slice(0, 3)).pixel_size_m == 1e-8


def test_a_size_that_agrees_is_not_mentioned(make_scan):
    pixel = make_scan(**GEOMETRY).pixel_size_m
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make_scan(**GEOMETRY, pixel_size_m=pixel * 1.005)


def test_place_particle_and_the_origin_of_the_probe_survive(make_scan, tmp_path):
    scan = make_scan(pixel_size_m=1e-8, origin_m=PLACE, particle="electron", probe_made=True)
    save_scan(tmp_path / "scan.npz", scan)
    for again in (
        load_scan(tmp_path / "scan.npz"),
        scan.select([2, 0]),
        pickle.loads(pickle.dumps(scan)),  # noqa: S301 - our own bytes
    ):
        assert again.origin_m == PLACE
        assert again.particle == "electron"
        assert again.probe_made


def test_a_probe_from_a_file_is_not_made_up(make_scan, tmp_path):
    save_scan(tmp_path / "made.npz", make_scan(probe_made=True))
    save_scan(tmp_path / "known.npz", make_scan())
    scan = load_scan(tmp_path / "made.npz", probe_file=tmp_path / "known.npz")
    assert not scan.probe_made


@pytest.mark.parametrize("place", [(1.0,), (1.0, np.nan), (1.0, 2.0, 3.0)])
def test_a_place_is_two_finite_numbers(make_scan, place):
    with pytest.raises(InvalidValueError, match="origin_m"):
        make_scan(origin_m=place)


def test_an_unknown_particle_is_refused(make_scan, tmp_path):
    with pytest.raises(ScanFormatError, match="photon or electron"):
        make_scan(particle="neutron")
    save_scan(tmp_path / "scan.npz", make_scan())
    with np.load(tmp_path / "scan.npz") as file:
        arrays = dict(file)
    np.savez(tmp_path / "odd.npz", **arrays | {"_metadata": np.array('{"particle": "neutron"}')})
    with pytest.raises(ScanFormatError, match="neutron"):
        load_scan(tmp_path / "odd.npz")


@pytest.mark.parametrize("place", ["1e-3", [1], [1, None], [1, 10**400], {"x": 1}])
def test_a_place_that_is_none_is_passed_over(make_scan, tmp_path, place):
    save_scan(tmp_path / "scan.npz", make_scan())
    with np.load(tmp_path / "scan.npz") as file:
        arrays = dict(file)
    text = np.array(json.dumps({"origin_m": place}))
    np.savez(tmp_path / "odd.npz", **arrays | {"_metadata": text})
    assert load_scan(tmp_path / "odd.npz").origin_m is None
