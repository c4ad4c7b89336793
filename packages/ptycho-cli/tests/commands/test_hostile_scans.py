"""Scans whose metadata or values are absurd: read as they are meant, or one clean line."""

import json

import numpy as np
import pytest

HUGE = 10**400
DEEP = json.loads("[" * 60 + "]" * 60)
VALUES = (None, True, -1, HUGE, -HUGE, 1e308, 1e-320, float("nan"), "", "a\nno violation\x1b[31m",
          [], {}, [HUGE, HUGE], [1e308, 1e308], DEEP, "x" * 5000)  # fmt: skip
METADATA = {
    "photon_energy_eV": 8000.0,
    "detector_distance_m": 1.0,
    "detector_pixel_size_m": 5e-5,
    "nphotons": 1e6,
    "particle": "photon",
    "origin_m": [0.0, 0.0],
    "domain": "counts",
    "axes": "nyx",
    "probe_made": False,
    "physics_parameters": {"nphotons": 1e6},
    "name": "scan",
    "run": {"command": "simulate"},
}
FACTORS = {
    "probeGuess": (3e37, 1e25, 1e-20, 1e-40, 0),
    "objectGuess": (3e37, 1e25),
    "xcoords": (1e300, 1e30, 1e15),
    "diffraction": (1e300, 1e30, 1e-300),
    "nphotons": (1e302, 1e-320, -1, 0),
}


def is_clean(done, *, inspected):
    shown = (done.out + done.err).split("\n")
    if not all(line.isprintable() for line in shown) or "encountered in" in done.err:
        return False
    if done.code == 0 or (inspected and done.code == 1 and "error: " not in done.err):
        return "internal error" not in done.err
    return done.fails_with()


def outcomes(ptycho, path, folder):
    """The calls on a scan that did not end as they may."""
    calls = [("inspect", path), ("convert", path, folder / "out.cxi", "--overwrite")]
    for words in calls:
        done = ptycho(*words)
        if not is_clean(done, inspected=words[0] == "inspect"):
            yield words[0], done.code, done.err[-500:]


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(
    "every", [pytest.param(1, marks=pytest.mark.slow), 4], ids=["every value", "some values"]
)
@pytest.mark.parametrize("key", METADATA)
def test_metadata_of_any_kind(ptycho, edited, tmp_path, key, every):
    bad, first = [], list(METADATA).index(key) % every
    for number, value in enumerate(VALUES[first::every]):
        path = edited(f"{number}.npz", _metadata=json.dumps({**METADATA, key: value}))
        bad += [(repr(value)[:40], *found) for found in outcomes(ptycho, path, tmp_path)]
    assert bad == []


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(
    "text", ["", "null", "[]", '{"x":' * 3000, '{"x":' * 500 + "1" + "}" * 500]
)
def test_metadata_that_is_no_table(ptycho, edited, tmp_path, text):
    assert list(outcomes(ptycho, edited(_metadata=text), tmp_path)) == []


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(
    ("key", "factor"), [(key, factor) for key, factors in FACTORS.items() for factor in factors]
)
def test_values_of_absurd_size(ptycho, edited, scan_file, tmp_path, key, factor):
    with np.load(scan_file) as file:
        values = file[key]
    wide = np.complex128 if values.dtype.kind == "c" else np.float64
    path = edited(**{key: values.astype(wide) * factor})
    assert list(outcomes(ptycho, path, tmp_path)) == []
    done = ptycho("inspect", path)
    assert done.code == 1
    assert f"  {key} must be " in done.out
