"""CXI as SHARP, COSMIC (ALS), cdtools and NeXus write it: read as they mean it."""

import warnings

import h5py
import numpy as np
import pytest
from ptycho_data import ScanFormatError, load_scan
from ptycho_data.units import EV_J, object_pixel

N, COUNT = 8, 30
ENERGY, DISTANCE, DETECTOR_PIXEL = 9000.0, 2.0, 75e-6
PIXEL = object_pixel(ENERGY, DISTANCE, DETECTOR_PIXEL, N)
DET = "entry_1/instrument_1/detector_1"
SOURCE = "entry_1/instrument_1/source_1"
RNG = np.random.default_rng(8)
COUNTS = RNG.poisson(60, (COUNT, N, N)).astype(np.uint16)
COUNTS[:, 5] = RNG.poisson(6, (COUNT, N))  # dim enough to be lost in noise
X, Y = RNG.uniform(-40, 40, (2, COUNT))
PROBE = (RNG.normal(size=(N, N)) + 1j * RNG.normal(size=(N, N))).astype(np.complex64)


def translation(x=X, y=Y, z=0.0):
    """Positions of CXI (n, 3) in metres."""
    return np.stack([x, y, np.broadcast_to(z, x.shape)], axis=1) * PIXEL


@pytest.fixture
def write(tmp_path):
    """Write a file as SHARP has it; dataset to None leaves it out."""

    def write(changes=None):
        datasets = {
            "cxi_version": 160,
            f"{DET}/data": COUNTS,
            f"{DET}/distance": DISTANCE,
            f"{DET}/x_pixel_size": DETECTOR_PIXEL,
            f"{DET}/y_pixel_size": DETECTOR_PIXEL,
            f"{SOURCE}/energy": ENERGY * EV_J,
            f"{SOURCE}/illumination": PROBE,
            "entry_1/sample_1/geometry_1/translation": translation(),
        }
        path = tmp_path / "a.cxi"
        with h5py.File(path, "w") as file:
            for name, value in (datasets | (changes or {})).items():
                if value is not None:
                    file[name] = value
            file["entry_1/data_1/data"] = h5py.SoftLink(f"/{DET}/data")
        return path

    return write


def read(path, *told):
    """Load a scan that warns of these things and no others."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        scan = load_scan(path)
    messages = [str(one.message) for one in caught]
    assert len(messages) == len(told), messages
    for message, part in zip(messages, told, strict=True):
        assert part in message
    return scan


def check(scan, x=X, y=Y):
    assert scan.pixel_size_m == pytest.approx(PIXEL)
    np.testing.assert_allclose(scan.positions, np.stack([x, y], axis=1), rtol=0, atol=1e-9)
    np.testing.assert_array_equal(scan.diffraction, COUNTS)


@pytest.mark.parametrize("shape", [(N, N), (3 * N, 3 * N)])
def test_the_probe_is_the_illumination_not_the_first_image(write, shape):
    image = RNG.normal(size=shape) + 1j
    scan = read(write({"entry_1/image_1/data": image}))
    check(scan)
    np.testing.assert_array_equal(scan.probe[0], PROBE)


@pytest.mark.parametrize("image", ["image_1", "image_latest"])
def test_the_reconstructed_illumination_where_there_is_no_other(write, image):
    final = f"entry_1/{image}/process_1/final_illumination"
    changes = {f"{SOURCE}/illumination": None, final: PROBE, "entry_1/image_1/data": PROBE * 2}
    np.testing.assert_array_equal(read(write(changes)).probe[0], PROBE)


def test_a_first_image_that_does_not_say_it_is_the_probe_is_none(write):
    changes = {f"{SOURCE}/illumination": None, "entry_1/image_1/data": PROBE}
    scan = read(write(changes), "entry_1/image_1/data is not taken for one")
    assert abs(np.vdot(scan.probe[0], PROBE)) < 0.9 * np.linalg.norm(PROBE)
    own = read(write(changes | {"entry_1/ptychodus/probe_pixel_width_m": PIXEL}))
    np.testing.assert_array_equal(own.probe[0], PROBE)


@pytest.mark.parametrize("frames", ["stack", "one", "with gaps"])
def test_dark_frames_are_subtracted(write, frames):
    level = np.where(np.indices((N, N))[0] < 3, 200, 150)
    spread = 3.0  # of the frames around their mean, in every pixel
    dark = np.stack([level - spread, level, level + spread]).astype(np.float32)
    if frames == "one":
        dark, spread = level, 0.0
    elif frames == "with gaps":
        dark[:2, 0, 0] = np.nan
    scan = load_scan(write({f"{DET}/data": COUNTS + level.astype(np.uint16),
                            f"{DET}/data_dark": dark}))  # fmt: skip
    assert scan.domain == "counts"
    expected = COUNTS.astype(float)
    if frames == "with gaps":
        expected[:, 0, 0] -= spread
    expected[expected < 2 * spread] = 0
    np.testing.assert_array_equal(scan.counts(), expected)
    np.testing.assert_allclose(scan.intensity_totals, scan.counts().sum(axis=(1, 2)))
    assert not isinstance(scan.diffraction, np.ndarray)  # still on disk


def test_what_falls_below_the_dark_level_is_zero_and_fill_values_stay(write):
    data = COUNTS.copy()
    data[:, 2, 2] = 2**16 - 1
    dark = np.full((N, N), 55.0)
    dark[5] = 2
    scan = read(write({f"{DET}/data": data, f"{DET}/data_dark": dark}), "no count")
    assert np.argwhere(scan.bad_pixels).tolist() == [[2, 2]]
    good = ~scan.bad_pixels
    np.testing.assert_array_equal(scan.counts()[:, good], np.maximum(COUNTS - dark, 0)[:, good])


def test_patterns_without_their_dark_level_are_left_alone(write):
    scan = read(write({f"{DET}/data_dark": np.full((4, N, N), 200.0)}), "data_dark left alone")
    check(scan)


def test_dark_frames_of_another_size_are_refused(write):
    with pytest.raises(ScanFormatError, match="data_dark of their own shape"):
        load_scan(write({f"{DET}/data_dark": np.ones((N, N + 1))}))


P = DETECTOR_PIXEL


@pytest.mark.parametrize(
    ("basis", "x", "y"),
    [
        ([[0, -P, 0], [-P, 0, 0]], X, Y),  # the usual ones
        ([[0, -P, 0], [P, 0, 0]], -X, Y),  # columns the other way round
        ([[0, P, 0], [-P, 0, 0]], X, -Y),
        ([[-P, 0, 0], [0, -P, 0]], Y, X),  # patterns transposed
        ([[-0.8 * P, -0.6 * P, 0], [-0.6 * P, 0.8 * P, 0]], 0.6 * X - 0.8 * Y, 0.8 * X + 0.6 * Y),
    ],
)
def test_positions_run_along_the_axes_of_the_detector(write, basis, x, y):
    basis = np.array(basis, float)
    for vectors in (basis, basis.T, np.stack([basis] * COUNT)):
        check(read(write({f"{DET}/basis_vectors": vectors})), x, y)
    sizes = {f"{DET}/x_pixel_size": None, f"{DET}/y_pixel_size": None}
    check(read(write({f"{DET}/basis_vectors": basis} | sizes)), x, y)  # their length is the pixel
    directions = basis / P
    check(read(write({f"{DET}/basis_vectors": directions})), x, y)


def test_tilted_and_moving_detectors_are_told(write):
    tilted = np.array([[0, -P, 0], [-P * 0.9, 0, P * 0.43]])
    read(write({f"{DET}/basis_vectors": tilted}), "not perpendicular")
    moving = np.stack([np.array([[0, -P, 0], [-P, 0, 0]])] * COUNT)
    moving[3:] *= -1
    read(write({f"{DET}/basis_vectors": moving}), "from pattern to pattern")
    with pytest.raises(ScanFormatError, match="basis_vectors that are directions"):
        load_scan(write({f"{DET}/basis_vectors": np.zeros((2, 3))}))
    with pytest.raises(ScanFormatError, match=r"basis_vectors of shape \(2, 3\)"):
        load_scan(write({f"{DET}/basis_vectors": np.zeros(4)}))


@pytest.mark.parametrize("lacking", ["x_pixel_size", "y_pixel_size"])
def test_one_side_of_a_pixel_is_enough(write, lacking):
    check(read(write({f"{DET}/{lacking}": None})))


def test_distance_and_pixel_from_the_corner(write):
    corner = np.array([N // 2 * P, N // 2 * P, DISTANCE])
    check(read(write({f"{DET}/distance": None, f"{DET}/corner_position": corner})))
    sizes = {f"{DET}/x_pixel_size": None, f"{DET}/y_pixel_size": None}
    check(read(write({f"{DET}/corner_position": corner} | sizes)))
    check(read(write({f"{DET}/distance": None, f"{DET}/corner_position": corner} | sizes)))


def test_either_polarity_of_the_mask_of_cosmic(write):
    good = np.ones((N, N), np.uint8)
    good[2], good[5, 5] = 0, 0
    for mask in (good, 1 - good):
        scan = read(write({f"{DET}/detector_mask": mask}), "the rarer ones, 9 of 64")
        np.testing.assert_array_equal(scan.bad_pixels, good == 0)
    scan = read(write({f"{DET}/detector_mask": good, f"{DET}/mask": good * 0}))
    assert not scan.bad_pixels.any()


def test_a_near_field_is_refused(write):
    load_scan(write({f"{DET}/near_field": 0}))
    with pytest.raises(ScanFormatError, match="of the far field") as caught:
        load_scan(write({f"{DET}/near_field": 1}))
    assert len(caught.value.violations) == 1


def test_a_stage_that_scans_in_x_and_z(write):
    still = np.full(COUNT, 3.0)
    path = write({"entry_1/sample_1/geometry_1/translation": translation(X, still, Y)})
    check(read(path, "z was taken for y"))
    path = write({"entry_1/sample_1/geometry_1/translation": translation(still, Y, X)})
    check(read(path, "z was taken for x"))
    line = write({"entry_1/sample_1/geometry_1/translation": translation(X, still, 0.01 * X)})
    check(read(line), X, still)  # a line, in focus


@pytest.mark.parametrize("place", ["data_1", "instrument_1/detector_1", "sample_1/geometry"])
def test_other_places_of_positions(write, place):
    changes = {"entry_1/sample_1/geometry_1/translation": None}
    check(read(write(changes | {f"entry_1/{place}/translation": translation()})))


def test_counts_that_were_divided(write):
    scan = read(write({f"{DET}/data": (COUNTS / COUNTS.max()).astype(np.float32)}), "multiples")
    np.testing.assert_allclose(scan.counts(), COUNTS, rtol=1e-5)


def test_positions_along_the_other_axis_of_the_array(write):
    check(read(write({"entry_1/sample_1/geometry_1/translation": translation().T})))


def test_patterns_in_a_linked_file(write):
    path = write({f"{DET}/data": h5py.ExternalLink("raw.h5", "/data")})
    with h5py.File(path.with_name("raw.h5"), "w") as file:
        file["data"] = COUNTS
    with pytest.raises(ScanFormatError, match="--follow-links"):
        load_scan(path)
    scan = load_scan(path, follow_links=True)
    check(scan)
    assert scan.files == (path, path.with_name("raw.h5"))
