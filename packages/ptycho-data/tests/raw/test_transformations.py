"""Axes of NeXus with vectors: where the beam hits the sample, along rows and columns."""

import h5py
import numpy as np
import pytest
from ptycho_data import ScanFormatError, load_scan
from ptycho_data.raw import Names, read_raw

FRAMES = np.random.default_rng(0).poisson(5, (12, 10, 14)).astype(np.uint16)
A, B = np.random.default_rng(1).uniform(-5, 5, (2, 12))
KNOWN = {"energy": "9keV", "distance": "2m", "detector_pixel": "50um"}
SAMPLE = "entry/sample/transformations"
MODULE = "entry/instrument/detector/module"


def axis(file, name, values, vector, kind="translation", on=".", unit="um", **more):
    made = file.create_dataset(name, data=values)
    made.attrs.update({"vector": vector, "transformation_type": kind, "units": unit})
    made.attrs.update({"depends_on": on} | more)


@pytest.fixture
def file(tmp_path):
    """Two motors: one moves the sample to the left, and stands on the other, which lifts it."""
    path = tmp_path / "scan.nxs"
    with h5py.File(path, "w") as target:
        target["entry/data/data"] = FRAMES
        axis(target, f"{SAMPLE}/a", A, (1, 0, 0), on="b")
        axis(target, f"{SAMPLE}/b", B, (0, 1, 0))
        target["entry/sample/depends_on"] = f"/{SAMPLE}/a"
    return path


def positions(path, **names):
    raw = read_raw([path], Names(**KNOWN | names))
    return raw.x_m * 1e6, raw.y_m * 1e6


def test_the_beam_goes_the_other_way_than_the_sample(file):
    x, y = positions(file)
    np.testing.assert_allclose(x, A)  # the sample goes left, the beam on it right, as columns do
    np.testing.assert_allclose(y, B)


def test_rotations_and_offsets_of_axes_below_count(file):
    with h5py.File(file, "a") as target:
        axis(target, f"{SAMPLE}/phi", [90.0], (0, 0, 1), "rotation", unit="deg")
        target[f"{SAMPLE}/b"].attrs["depends_on"] = f"/{SAMPLE}/phi"
        target[f"{SAMPLE}/b"].attrs.update({"offset": (3.0, 0, 0), "offset_units": "um"})
    x, y = positions(file)
    np.testing.assert_allclose(x, -B, atol=1e-12)  # x becomes y, y becomes -x
    np.testing.assert_allclose(y, A + 3, atol=1e-12)


def test_vectors_of_a_length_other_than_one_are_directions(file):
    with h5py.File(file, "a") as target:
        target[f"{SAMPLE}/a"].attrs["vector"] = (2, 0, 0)
    np.testing.assert_allclose(positions(file)[0], A)


def test_a_turned_detector_has_other_rows_and_columns(file):
    with h5py.File(file, "a") as target:
        target["entry/instrument/detector/distance"] = 2.0
        axis(target, f"{MODULE}/fast_pixel_direction", 5e-5, (0, 1, 0), unit="m")
        axis(target, f"{MODULE}/slow_pixel_direction", 5e-5, (-1, 0, 0), unit="m")
    x, y = positions(file)
    np.testing.assert_allclose(x, -B)
    np.testing.assert_allclose(y, A)
    with h5py.File(file, "a") as target:  # and once more, by an axis that carries it
        roll = "entry/instrument/detector/transformations/roll"
        axis(target, roll, np.pi / 2, (0, 0, -1), "rotation", unit="rad")
        for which in ("fast", "slow"):
            target[f"{MODULE}/{which}_pixel_direction"].attrs["depends_on"] = f"/{roll}"
    x, y = positions(file)
    np.testing.assert_allclose(x, -A, atol=1e-12)
    np.testing.assert_allclose(y, -B, atol=1e-12)


@pytest.mark.parametrize("on", ["b", f"/{SAMPLE}/b"])
@pytest.mark.parametrize("soft", [True, False])
@pytest.mark.parametrize("found", ["from the sample", "by target"])
def test_axes_that_data_links_to_are_those_of_the_sample(file, on, soft, found):
    with h5py.File(file, "a") as target:
        change("a", vector=(-1, 0, 0), depends_on=on)(target)
        if found == "by target":
            del target["entry/sample/depends_on"]
        for name, link in (("a", "x"), ("b", "y")):
            target[f"{SAMPLE}/{name}"].attrs["target"] = f"/{SAMPLE}/{name}"
            linked = h5py.SoftLink(f"/{SAMPLE}/{name}") if soft else target[f"{SAMPLE}/{name}"]
            target[f"entry/data/{link}"] = linked
    x, y = positions(file)
    np.testing.assert_allclose(x, -A)
    np.testing.assert_allclose(y, B)


def test_other_axes_that_move_count_frame_by_frame(file):
    fine, along = np.random.default_rng(2).uniform(-1, 1, (2, 12))
    with h5py.File(file, "a") as target:
        for name, link in (("a", "x"), ("b", "y")):
            target[f"entry/data/{link}"] = h5py.SoftLink(f"/{SAMPLE}/{name}")
        change("b", depends_on="fine")(target)
        axis(target, f"{SAMPLE}/fine", fine, (1, 0, 0), on="along")
        axis(target, f"{SAMPLE}/along", along, (0, 0, 1), on="phi")
        noise = np.linspace(-0.005, 0.005, 12)
        axis(target, f"{SAMPLE}/phi", 90 + noise, (0, 0, 1), "rotation", unit="deg")
    x, y = positions(file)
    np.testing.assert_allclose(x, -B, atol=1e-12)
    np.testing.assert_allclose(y, A + fine, atol=1e-12)


def test_motors_with_names_of_their_own_are_taken_as_they_are(file):
    x, y = positions(file, x=f"{SAMPLE}/a", y=f"{SAMPLE}/b")
    np.testing.assert_allclose(x, A)
    np.testing.assert_allclose(y, B)
    x, y = positions(file, x=f"{SAMPLE}/b", y=f"{SAMPLE}/a")
    np.testing.assert_allclose(x, B)


def change(name, **attributes):
    def apply(target):
        target[f"{SAMPLE}/{name}"].attrs.update(attributes)

    return apply


def turning(target):
    change("b", depends_on="phi")(target)
    axis(target, f"{SAMPLE}/phi", np.arange(12.0), (0, 1, 0), "rotation", unit="deg")


def tilted(target):
    axis(target, f"{MODULE}/fast_pixel_direction", 5e-5, (-0.8, 0, 0.6), unit="m")
    axis(target, f"{MODULE}/slow_pixel_direction", 5e-5, (0, -1, 0), unit="m")


def standing(values, **attributes):
    def apply(target):
        change("b", depends_on="z")(target)
        axis(target, f"{SAMPLE}/z", values, (0, 0, 1))
        for name, link in (("a", "x"), ("b", "y")):
            target[f"entry/data/{link}"] = h5py.SoftLink(f"/{SAMPLE}/{name}")
        target[f"{SAMPLE}/z"].attrs.update(attributes)

    return apply


@pytest.mark.parametrize(
    ("apply", "found"),
    [
        (standing(3.0, units=""), r"z must be in a unit of length.*--x and --y"),
        (standing([np.nan]), r"z must be of finite values"),
        (standing([]), r"z must be of finite values"),
        (standing([1.0, 2.0, 3.0]), r"z must be one value, or 12, got shape \(3,\)"),
        (change("b", depends_on="a"), r"transformations/a must be an axis of a chain with an end"),
        (change("b", depends_on="gone"), r"transformations/gone must be an axis that others"),
        (change("b", transformation_type="general"), r"b must be a translation or a rotation"),
        (change("b", vector=(0, 0, 0)), r"b must be an axis with a vector of three numbers"),
        (change("a", offset=(1, 0, 0), offset_units="foot"), r"a must be with offset_units in"),
        (turning, r"phi must be one angle for all frames, got 11 degrees.*--x and --y"),
        (tilted, r"fast_pixel_direction must be perpendicular to the beam, got .* 53.1 degrees"),
    ],
)
def test_what_cannot_be_honoured_is_told_by_name(file, apply, found):
    with h5py.File(file, "a") as target:
        apply(target)
    with pytest.raises(ScanFormatError, match=found) as caught:
        positions(file)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("still", "basis"),
    [(1, None), (0, None), (1, [[0, -1, 0], [1, 0, 0]]), (None, [[0, -1, 0], [-0.96, 0, 0.28]])],
)
@pytest.mark.filterwarnings("default")  # of a file without a probe
def test_a_translation_of_cxi_with_z_is_read_as_load_scan_reads_it(tmp_path, still, basis):
    places = np.random.default_rng(3).uniform(-2e-6, 2e-6, (12, 3))
    if still is not None:
        places[:, still] = 0
    path, detector = tmp_path / "scan.cxi", "entry_1/instrument_1/detector_1"
    with h5py.File(path, "w") as target:
        target[f"{detector}/data"] = FRAMES[:, :10, :10]
        target[f"{detector}/distance"] = 2.0
        target[f"{detector}/x_pixel_size"] = target[f"{detector}/y_pixel_size"] = 5e-5
        if basis is not None:
            target[f"{detector}/basis_vectors"] = 5e-5 * np.array(basis)
        target["entry_1/instrument_1/beam_1/energy"] = 9000 * 1.602176634e-19
        target["entry_1/sample_1/geometry_1/translation"] = places
        target["entry_1/data_1/data"] = h5py.SoftLink(f"/{detector}/data")
    raw, scan = read_raw([path]), load_scan(path, domain="counts")
    for metres, pixels in ((raw.x_m, scan.xcoords), (raw.y_m, scan.ycoords)):
        shift = metres / scan.pixel_size_m - pixels
        assert np.ptp(pixels) > 1
        np.testing.assert_allclose(shift, shift.mean(), atol=1e-6)
    with h5py.File(path, "a") as target:
        target["entry_1/sample_1/geometry_1/translation"][5, 2] = np.nan
    with pytest.raises(ScanFormatError, match="must be finite, got NaN or infinity in z"):
        read_raw([path])
