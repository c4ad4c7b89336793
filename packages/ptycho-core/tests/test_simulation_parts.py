import attrs
import numpy as np
import pytest
from PIL import Image
from ptycho_config.errors import InvalidValueError, MissingFileError
from ptycho_core.simulation import pad_with_vacuum, simulate_scan
from ptycho_core.simulation_parts import (
    OBJECTS,
    PROBES,
    SCANS,
    SimulationParts,
    make_object,
    make_positions,
    make_probe,
)
from ptycho_data import ScanFormatError, save_scan


@pytest.mark.parametrize("kind", OBJECTS)
def test_objects(kind):
    made = make_object(kind, None, 48, 1)
    assert made.shape == (48, 48)
    assert made.dtype == np.complex64
    assert make_object(kind, 40, 48, 1).shape == (40, 40)
    assert np.ptp(np.abs(made)) > 0.1
    assert np.ptp(np.angle(made)) > 0.1


@pytest.mark.parametrize("kind", PROBES)
def test_probes(kind):
    probe = make_probe(kind, 32, None)
    assert probe.shape == (1, 32, 32)
    assert np.sum(np.abs(probe) ** 2) == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize("kind", SCANS)
def test_scans_fit_the_object(kind):
    settings = {"jitter": 0.5, "seed": 0}
    positions = make_positions(kind, (96, 80), 32, number=50, step=None, **settings)
    assert positions.shape == (50, 2)
    padded, local, n_outside = pad_with_vacuum(np.ones((96, 80), np.complex64), positions, 32)
    assert n_outside == 0
    assert padded.shape == (96, 80)
    np.testing.assert_array_equal(local, positions)
    assert len(make_positions(kind, (96, 80), 32, number=None, step=None, **settings)) > 50


def test_picture_becomes_an_object(tmp_path):
    grey = np.linspace(0, 255, 30 * 20).astype(np.uint8).reshape(30, 20)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    made = make_object(str(tmp_path / "grey.png"), None, 64, 0)
    assert made.shape == (30, 20)
    assert np.abs(made[0, 0]) > np.abs(made[-1, -1])  # bright is thick
    assert make_object(str(tmp_path / "grey.png"), 50, 64, 0).shape == (50, 50)
    colour = np.stack([grey] * 3, axis=-1)
    Image.fromarray(colour).save(tmp_path / "colour.png")
    np.testing.assert_allclose(make_object(str(tmp_path / "colour.png"), None, 64, 0), made)
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    np.testing.assert_allclose(
        make_object(str(tmp_path / "deep.png"), None, 64, 0), made, atol=1e-6
    )


def test_a_file_that_is_not_a_picture(tmp_path):
    path = tmp_path / "text.png"
    path.write_text("not a picture")
    with pytest.raises(InvalidValueError) as caught:
        make_object(str(path), None, 64, 0)
    assert caught.value.name == str(path)


@pytest.mark.parametrize("make", [make_object, make_probe])
def test_a_source_that_is_neither_name_nor_file(make):
    with pytest.raises(MissingFileError, match="moon"):
        make("moon", 64, None) if make is make_probe else make("moon", None, 64, 0)


def test_parts_from_a_file(tmp_path):
    probe = np.ones((16, 16), np.complex64)
    np.savez(tmp_path / "a.npz", probeGuess=probe, xcoords=[1.0, 2], ycoords=[3.0, 4])
    parts = SimulationParts.from_file(tmp_path / "a.npz")
    assert parts.object is None
    assert parts.probe.shape == (1, 16, 16)
    np.testing.assert_array_equal(parts.positions, [[1, 3], [2, 4]])


@pytest.mark.parametrize(
    ("arrays", "name"),
    [
        ({"other": [1]}, ""),
        ({"objectGuess": np.ones(4, np.complex64)}, "objectGuess of "),
        ({"objectGuess": np.full((4, 4), np.nan)}, "objectGuess of "),
        ({"xcoords": [1.0], "ycoords": [1.0, 2]}, "xcoords and ycoords of "),
        ({"xcoords": [np.inf], "ycoords": [1.0]}, "xcoords and ycoords of "),
    ],
)
def test_bad_parts_are_named(arrays, name, tmp_path):
    path = tmp_path / "bad.npz"
    np.savez(path, **arrays)
    with pytest.raises(InvalidValueError) as caught:
        SimulationParts.from_file(path)
    assert caught.value.name == f"{name}{path}"


def test_a_bad_probe_is_named(tmp_path):
    np.savez(tmp_path / "bad.npz", probeGuess=np.zeros((4, 4), np.complex64))
    with pytest.raises(ScanFormatError) as caught:
        SimulationParts.from_file(tmp_path / "bad.npz")
    assert [violation.key for violation in caught.value.violations] == ["probe"]


def test_given_parts_are_kept_unless_an_argument_replaces_them():
    first = SimulationParts().completed(N=32, n_patterns=5)
    assert first.object.shape == (96, 96)
    assert first.positions.shape == (5, 2)
    again = first.completed(scan_pattern="raster", n_patterns=4)
    assert again.object is first.object
    assert again.probe is first.probe
    assert len(again.positions) == 4
    smaller = first.completed(N=16)
    assert smaller.probe.shape == (1, 16, 16)
    assert smaller.positions is first.positions


def test_n_contradicts_the_size_of_a_probe_file(tmp_path):
    np.savez(tmp_path / "p.npz", probe=np.ones((1, 16, 16), np.complex64))
    with pytest.raises(InvalidValueError) as caught:
        SimulationParts().completed(probe_source=str(tmp_path / "p.npz"), N=32)
    assert caught.value.name == "N"


def test_experiment_and_place_of_the_file_are_kept_while_they_hold(tmp_path):
    scan = simulate_scan(SimulationParts().completed(N=16, n_patterns=4))
    known = {"pixel_size_m": 1e-8, "origin_m": (1e-3, 2e-3), "detector_pixel_size_m": 75e-6}
    save_scan(tmp_path / "a.npz", attrs.evolve(scan, **known))
    parts = SimulationParts.from_file(tmp_path / "a.npz")
    again = simulate_scan(parts.completed(n_patterns=5))
    assert {name: getattr(again, name) for name in known} == known
    other = simulate_scan(parts.completed(object_source="random", n_patterns=5, N=32))
    assert other.pixel_size_m == 1e-8
    assert (other.origin_m, other.detector_pixel_size_m) == (None, None)
