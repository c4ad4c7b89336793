"""Results of ptypy: probe, object and positions, on one grid."""

import h5py
import numpy as np
import pytest
from ptycho_data import ScanFormatError, format_of, load_scan
from ptycho_data._preview import load_experiment, load_object, load_probe
from ptycho_data.raw import Names, read_raw

N, PIXEL, ORIGIN = 16, 2e-8, (-3e-7, -4e-7)  # y, x of the object's first pixel
RNG = np.random.default_rng(3)
ROWS, COLUMNS = RNG.uniform(8, 24, (2, 12))
PROBE = (RNG.normal(size=(2, N, N)) + 1j).astype(np.complex64)
OBJECT = np.exp(1j * RNG.normal(size=(1, 33, 37))).astype(np.complex64)


@pytest.fixture
def result(tmp_path):
    """A file as `Ptycho.save_run` of ptypy writes it."""
    path = tmp_path / "run.ptyr"
    y, x = (start + np.arange(size) * PIXEL for start, size in zip(ORIGIN, (33, 37), strict=True))
    grids = np.stack(np.meshgrid(y, x, indexing="ij"))[:, None]
    positions = np.stack([ROWS, COLUMNS], axis=1) * PIXEL + ORIGIN
    with h5py.File(path, "w") as file:
        file["header/kind"] = "minimal"
        content = file.create_group("content")
        for kind, values in (("probe", PROBE), ("obj", OBJECT)):
            content[f"{kind}/SMFG00/data"] = values
            content[f"{kind}/SMFG00/_psize"] = [PIXEL, PIXEL]
        content["obj/SMFG00/grids"] = grids
        content["positions/SMFG00"] = positions
        content["pars/run"] = "moon"
    return path


def test_the_probe_has_its_modes_and_its_pixel(result):
    assert format_of(result).name == "ptyr"
    np.testing.assert_array_equal(load_probe(result), PROBE)
    assert load_experiment(result)["pixel_size_m"] == pytest.approx(PIXEL)


def test_a_result_has_no_patterns(result):
    with pytest.raises(ScanFormatError, match=r"\.ptyd file; ptycho prepare SCAN.ptyd RESULT.ptyr"):
        load_scan(result)


@pytest.mark.parametrize("modes", [1, 2, 3])
def test_positions_of_a_result_win_over_those_of_the_patterns(result, tmp_path, modes):
    path = tmp_path / "scan.ptyd"
    with h5py.File(result, "a") as file:  # a view of the object for each mode of the probe
        positions = file["content/positions/SMFG00"][()]
        del file["content/positions/SMFG00"]
        file["content/positions/SMFG00"] = np.repeat(positions, modes, axis=0)
    frames = RNG.poisson(5, (12, N, N)).astype(np.uint16)
    with h5py.File(path, "w") as file:
        file["chunks/0/data"], file["chunks/0/positions"] = frames, np.zeros((12, 2))
        file["meta/energy"], file["meta/distance"], file["meta/psize"] = 9.0, 2.0, 75e-6
    raw = read_raw([path, result], Names())
    np.testing.assert_array_equal(raw.frames[:], frames)
    np.testing.assert_allclose(raw.x_m, COLUMNS * PIXEL + ORIGIN[1])
    np.testing.assert_allclose(raw.y_m, ROWS * PIXEL + ORIGIN[0])
    assert raw.places["x"] == "run.ptyr::content/positions/SMFG00"


def test_the_object_lies_where_its_grid_says(result):
    stored = load_object(result)
    np.testing.assert_array_equal(stored.values, OBJECT[0])
    assert stored.origin_m == pytest.approx(ORIGIN[::-1])
    assert stored.origin == pytest.approx([start / PIXEL for start in ORIGIN[::-1]])
    assert stored.pixel_size_m == pytest.approx(PIXEL)
