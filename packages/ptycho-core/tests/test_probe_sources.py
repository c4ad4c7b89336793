"""First probes of files of other programs and of optics, said in one text."""

from pathlib import Path
from typing import Any

import attrs
import h5py
import numpy as np
import pytest
from ptycho_config.errors import InvalidValueError
from ptycho_core.first_probe.sources import first_probe_of, probe_source
from ptycho_core.starting_probe import similarity
from ptycho_core.testing import simulated_scan
from ptycho_data import Scan, ScanFormatError, load_stored_probe, save_product
from ptycho_data.units import wavelength
from ptycho_physics import fresnel_propagate
from ptycho_physics.probe_sampling import resample_probe
from ptycho_physics.probes import zone_plate_probe

PIXEL, ENERGY = 20e-9, 8000.0


@pytest.fixture(scope="module")
def scan() -> Scan:
    return attrs.evolve(simulated_scan(), photon_energy_ev=ENERGY, pixel_size_m=PIXEL)


def made(scan: Scan, text: Any) -> np.ndarray:
    return probe_source(str(text)).make(scan)


def write_ptypy(path: Path, probe: np.ndarray) -> None:
    with h5py.File(path, "w") as file:
        storage = file.create_group("content/probe/Sscan00G00")
        storage["data"] = probe
        storage["_psize"] = [PIXEL, PIXEL]
        file["content/obj/Sscan00G00/data"] = np.ones((1, 90, 91), np.complex64)


def write_ptylab(path: Path, probe: np.ndarray) -> None:
    with h5py.File(path, "w") as file:
        file["probe"] = probe[None, None, :, None]  # wavelengths, object modes, modes, slices
        file["object"] = np.ones((1, 1, 1, 1, 90, 91), np.complex64)


def write_matlab(path: Path, probe: np.ndarray) -> None:
    """Write a MAT-file of version 7.3: reversed axes, real and imag, a header of 512 bytes."""
    stored = np.empty(np.swapaxes(probe, -1, -2).shape, [("real", "<f8"), ("imag", "<f8")])
    stored["real"] = np.swapaxes(probe, -1, -2).real
    stored["imag"] = np.swapaxes(probe, -1, -2).imag
    with h5py.File(path, "w", userblock_size=512) as file:
        file["probe"] = stored
        file["probe"].attrs["MATLAB_class"] = np.bytes_("double")
    with path.open("r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")


def write_product(path: Path, probe: np.ndarray) -> None:
    ones = np.ones((100, 100), np.complex64)
    save_product(path, ones, probe, np.array([30.0, 40.0]), np.array([30.0, 44.0]),
                 pixel_size_m=PIXEL)  # fmt: skip


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("result.ptyr", write_ptypy),
        ("ptylab.h5", write_ptylab),
        ("fold_slice.mat", write_matlab),
        ("any.npy", lambda path, probe: np.save(path, probe)),
        ("one.npz", lambda path, probe: np.savez(path, P=probe[0], positions=np.zeros(3))),
    ],
)
def test_probes_of_other_programs_are_read(
    tmp_path: Path, scan: Scan, name: str, write: Any
) -> None:
    skewed = scan.probe * np.linspace(1, 2, scan.N)[:, None]  # not symmetric in x and y
    write(tmp_path / name, skewed)
    assert np.allclose(made(scan, tmp_path / name), skewed, rtol=1e-6)


def test_an_array_is_named_by_its_path(tmp_path: Path, scan: Scan) -> None:
    with h5py.File(tmp_path / "any.h5", "w") as file:
        file["a/b"], file["probe"] = scan.probe, np.ones((9, 9), np.complex64)
    assert np.array_equal(made(scan, f"{tmp_path}/any.h5::/a/b"), scan.probe)
    with pytest.raises(ScanFormatError) as caught:
        load_stored_probe(f"{tmp_path}/any.h5::/a/c")
    assert caught.value.violations[0].key == "/a/c"


def test_a_probe_is_brought_to_the_pixel_of_the_scan(tmp_path: Path, scan: Scan) -> None:
    write_ptypy(tmp_path / "r.ptyr", resample_probe(scan.probe, 96, scale=0.8))
    coarser = attrs.evolve(scan, pixel_size_m=PIXEL / 0.8)
    assert similarity(made(coarser, tmp_path / "r.ptyr"), scan.probe) > 0.999
    np.save(tmp_path / "small.npy", resample_probe(scan.probe, 32, scale=2.0))
    with pytest.raises(InvalidValueError):
        made(scan, tmp_path / "small.npy")
    text = f"file:{tmp_path}/small.npy,pixel=40nm"
    assert similarity(made(scan, text), scan.probe) > 0.98


def test_a_probe_is_propagated(tmp_path: Path, scan: Scan) -> None:
    np.save(tmp_path / "probe.npy", scan.probe)
    moved = fresnel_propagate(scan.probe, 3e-5, wavelength=wavelength(ENERGY), pixel_size=PIXEL)
    assert similarity(made(scan, f"file:{tmp_path}/probe.npy,propagate=30um"), moved) > 0.9999


def test_optics_take_energy_and_pixel_of_the_scan(scan: Scan) -> None:
    given = "zone-plate:diameter=180um,outer-zone=50nm,stop=60um,defocus=0.2mm"
    expected = zone_plate_probe(
        scan.N,
        wavelength_m=wavelength(ENERGY),
        pixel_size_m=PIXEL,
        outer_zone_width_m=50e-9,
        defocus_m=0.2e-3,
        central_stop=1 / 3,
    )
    assert similarity(made(scan, given), expected) > 0.9999
    for text in (
        "kb:aperture-x=200um,aperture-y=100um,focal-x=0.1m,focal-y=0.1m,defocus=0.2mm",
        "pinhole:diameter=600nm,distance=1mm",
        "electron:angle=1mrad,defocus=-0.1mm,a1=2um,a1-angle=30deg,c3=1mm",
    ):
        assert made(scan, text).shape == (1, scan.N, scan.N)
    with pytest.raises(InvalidValueError) as caught:
        made(attrs.evolve(scan, photon_energy_ev=None), given)
    assert caught.value.name == "photon_energy_ev"


def test_a_missing_pixel_size_is_explained_in_the_words_of_each_command(scan: Scan) -> None:
    with pytest.raises(InvalidValueError) as caught:
        made(attrs.evolve(scan, pixel_size_m=None), "pinhole:diameter=3um,distance=0.1m")
    assert "--pixel-size-m" in str(caught.value)
    assert "ptycho prepare" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("zone-plate:outer-zone=50nm", "zone-plate"),
        ("zone-plate:outer-zone=50,defocus=1mm", "outer-zone"),
        ("zone-plate:outer-zone=50nm,defocus=1mm,colour=1mm", "setting of zone-plate"),
        ("pinhole:diameter=1um,diameter=2um", "setting of pinhole"),
        ("electron:angle=1furlong,defocus=1um", "angle"),
        ("electron:angle=1mrad,defocus=nan um", "defocus"),
        ("zoneplate:outer-zone=50nm,defocus=1mm", "first probe"),
        ("", "first probe"),
    ],
)
def test_a_text_that_says_nothing_known_is_refused(text: str, name: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        probe_source(text)
    assert caught.value.name == name


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY\x01\x00v\x00{'descr': '<c8'", b"PK\x03\x04"])
def test_damaged_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "probe.npy").write_bytes(content)
    with pytest.raises(ScanFormatError):
        load_stored_probe(tmp_path / "probe.npy")


def test_a_file_that_needs_pickle_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "probe.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(ScanFormatError):
        load_stored_probe(tmp_path / "probe.npy")


def test_a_first_probe_ends_with_its_verdict(tmp_path: Path, scan: Scan) -> None:
    np.save(tmp_path / "probe.npy", scan.probe)
    found = first_probe_of(scan, str(tmp_path / "probe.npy"))
    assert found.verdict.ratio is not None
    assert found.verdict.ratio < 1.15
    assert found.cautions == []
    assert found.record["source"] == str(tmp_path / "probe.npy")
