"""Whatever `prepare` writes is read again as it was, or `prepare` refuses it."""

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ptycho_config.errors import InvalidValueError, PtychoError
from ptycho_core.preparing.preparation import prepare
from ptycho_core.preparing.recipe import Recipe
from ptycho_core.preparing.writing import write_prepared
from ptycho_data import load_scan

FRAMES = np.random.default_rng(0).poisson(20, (9, 16, 18)) * (np.arange(9) + 1)[:, None, None]
PLACES = np.stack(np.divmod(np.arange(9), 3), axis=1) * 1e-7

# half of all values are usual ones: of three that are not, one alone would be looked at
scale = st.one_of(
    st.just(1.0),
    st.floats(1e-3, 1e3),
    st.sampled_from([0.0, -1.0, 1e-302, 5e-324, 1e-9, 1e9, 1e300, np.nan, np.inf]),
    st.floats(allow_nan=True, allow_infinity=True),
)
number = st.one_of(st.just("1"), st.sampled_from(["1e-17", "1e-12", "1e-3", "1e3", "1e9", "1e17"]))


def written(folder, frames, places, **recipe):
    with h5py.File(folder / "raw.h5", "w") as file:
        file["frames"], file["x"], file["y"] = frames, places[:, 0], places[:, 1]
    known = {"energy": "9keV", "distance": "2m", "detector_pixel": "75um"} | recipe
    settled = Recipe(patterns="frames", x="x", y="y", unit="m", centre="8,9", size=16, **known)
    prepared = prepare([folder / "raw.h5"], settled)
    return write_prepared(prepared, folder / "scan.npz", overwrite=True)


@pytest.mark.filterwarnings("ignore::ptycho_data.ScanFormatWarning")  # doubts are no refusal
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    place=scale,
    shift=scale,
    brightness=scale,
    dtype=st.sampled_from([np.uint8, np.int16, np.uint32, np.int64, np.float32, np.float64]),
    energy=number,
    distance=number,
    dark=st.sampled_from(["none", "3", "1e9"]),
)
def test_both_agree(tmp_path, place, shift, brightness, dtype, energy, distance, dark):
    with np.errstate(all="ignore"):
        frames = (FRAMES * brightness).astype(dtype)
        places = PLACES * place + shift
    try:
        scan = written(
            tmp_path, frames, places, energy=f"{energy} keV", distance=distance, dark=dark
        )
    except PtychoError:
        return
    read = load_scan(tmp_path / "scan.npz")
    np.testing.assert_array_equal(read.positions, scan.positions)
    # counts that were divided by a number are multiplied by it when they are read
    got, expected = (np.asarray(s.diffraction, np.float64) for s in (read, scan))
    np.testing.assert_allclose(got / got.max(), expected / expected.max(), rtol=1e-5)
    assert read.experiment() == scan.experiment()


def test_the_usual_is_written(tmp_path):
    assert written(tmp_path, FRAMES, PLACES).n == 9


@pytest.mark.parametrize(
    ("frames", "places"), [(FRAMES, PLACES * 1e-302), (FRAMES * 1e-302, PLACES)]
)
def test_what_is_too_small_to_be_read_is_not_written(tmp_path, frames, places):
    with pytest.raises(InvalidValueError):
        written(tmp_path, frames, places)
    assert not (tmp_path / "scan.npz").exists()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dark", ["none", "3"])
def test_frames_without_any_value_are_refused(tmp_path, value, dark):
    frames = np.full(FRAMES.shape, value, np.float32)
    with pytest.raises(InvalidValueError) as caught:
        written(tmp_path, frames, PLACES, dark=dark)
    assert caught.value.name == "patterns"
