"""A scan with a known answer: simulated, and then written as a detector would."""

import h5py
import numpy as np
import pytest
from attrs import evolve
from ptycho_config.errors import InvalidValueError
from ptycho_core.analysis.verdict import judge
from ptycho_core.preparing.preparation import prepare
from ptycho_core.preparing.recipe import Recipe
from ptycho_core.preparing.writing import write_prepared
from ptycho_core.solving.solutions import reconstruction_of
from ptycho_data import OutputExistsError, load_scan
from ptycho_physics import defocused_probe, simulate_counts, solve
from ptycho_physics.objects import random_cells
from ptycho_physics.scans import fermat_scan

N, CENTRE, SHAPE, ENERGY, DISTANCE, PIXEL = 64, (41, 56), (90, 110), 9000.0, 2.0, 75e-6
OBJECT_PIXEL = 1.239841984e-6 / ENERGY * DISTANCE / (N * PIXEL)
HOT = (20, 70)
UNSEEN = int(np.setdiff1d(np.arange(90), np.linspace(0, 89, 64).astype(int))[0])
"""A frame that is not among those that are looked at."""


@pytest.fixture(scope="module")
def truth():
    positions = fermat_scan((130, 130), N, number=90)
    probe = defocused_probe(N)
    counts = simulate_counts(random_cells((130, 130)), probe, positions, 1e5, seed=0)
    return positions, probe, counts


@pytest.fixture(scope="module")
def frames(truth):
    """Counts on a larger detector: a gap of the largest value, a hot pixel, a mask."""
    rng = np.random.default_rng(0)
    out = np.zeros((len(truth[2]), *SHAPE), np.uint32)
    out[:, CENTRE[0] - 32 : CENTRE[0] + 32, CENTRE[1] - 32 : CENTRE[1] + 32] = truth[2]
    out[:, :, 80:83] = 2**32 - 1
    out[:, HOT[0], HOT[1]] = rng.integers(20000, 60000, len(out))
    return out


def write(path, frames, positions, mask=None, scale=1.0, **more):
    with h5py.File(path, "w") as file:
        file.create_dataset("frames", data=frames, chunks=(1, *frames.shape[1:]), compression=1)
        file["x"], file["y"] = (positions.T * OBJECT_PIXEL + 1e-3) * scale
        if mask is not None:
            file["mask"] = mask
        for name, value in more.items():
            file[name] = value
    return path


NAMES = {
    "patterns": "frames",
    "x": "x",
    "y": "y",
    "unit": "m",
    "energy": "9keV",
    "distance": "2m",
    "detector_pixel": "75um",
}


def misfit(scan, probe):
    return solve(scan.counts(), scan.positions, probe, mask=scan.bad_pixels, epochs=10).r_factors[
        -1
    ]


def test_the_scan_is_the_one_that_was_simulated(tmp_path, truth, frames):
    positions, probe, counts = truth
    path = write(tmp_path / "raw.h5", frames, positions)
    prepared = prepare([path], Recipe(**NAMES))
    scan = write_prepared(prepared, tmp_path / "scan.npz")
    read = load_scan(tmp_path / "scan.npz")
    assert read.N == N
    assert read.pixel_size_m == pytest.approx(OBJECT_PIXEL, rel=1e-6)
    assert read.detector_pixel_size_m == PIXEL
    assert read.photon_energy_ev == ENERGY
    assert read.probe_made
    np.testing.assert_allclose(read.origin_m + read.positions * read.pixel_size_m,
                               positions * OBJECT_PIXEL + 1e-3)  # fmt: skip
    np.testing.assert_array_equal(scan.intensity_totals, read.intensity_totals)
    bad = read.bad_pixels
    assert bad[HOT[0] - 9, HOT[1] - 24]
    assert bad[:, 56:59].all()
    assert bad.sum() < 3 * N + 8
    np.testing.assert_array_equal(read.counts(), np.where(bad, 0, counts))
    assert misfit(read, probe) < 0.2


def test_light_agrees_with_a_stated_centre_or_is_believed(tmp_path, truth, frames):
    positions, _, counts = truth
    stated = {"entry/data/data": frames, "entry/data/samx": positions[:, 0] * OBJECT_PIXEL * 1e6,
              "entry/data/samy": positions[:, 1] * OBJECT_PIXEL * 1e6,
              "entry/instrument/detector/distance": DISTANCE,
              "entry/instrument/detector/x_pixel_size": PIXEL,
              "entry/instrument/detector/y_pixel_size": PIXEL,
              "entry/instrument/beam/incident_wavelength": 12398.41984 / ENERGY}  # fmt: skip
    for centre, told in ((CENTRE, False), ((60, 30), True)):
        path = tmp_path / f"raw_{centre[0]}.h5"
        with h5py.File(path, "w") as file:
            for name, values in stated.items():
                file[name] = values
            for axis in "xy":
                file[f"entry/data/sam{axis}"].attrs["units"] = "um"
            file["entry/instrument/detector/beam_center_x"] = float(centre[1])
            file["entry/instrument/detector/beam_center_y"] = float(centre[0])
        prepared = prepare([path])
        assert any("off the light" in text for text in prepared.cautions) == told
        window = prepared.view.window
        assert np.hypot(window.centre[0] - CENTRE[0], window.centre[1] - CENTRE[1]) < 1.5
        if not told:
            assert prepared.scan.photon_energy_ev == pytest.approx(ENERGY)
            np.testing.assert_array_equal(prepared.scan.counts([3])[0] > 0,
                                          (counts[3] > 0) & ~prepared.scan.bad_pixels)  # fmt: skip


def test_a_turned_detector_an_inverted_mask_and_a_dark_level(tmp_path, truth, frames):
    positions, probe, _ = truth
    rng = np.random.default_rng(1)
    mask = np.zeros(SHAPE, np.uint8)
    mask[:, 80:83] = mask[HOT] = 1
    lit = frames + rng.poisson(20, frames.shape).astype(np.uint32)
    turned = np.where(mask, frames, lit).transpose(0, 2, 1)
    path = write(tmp_path / "raw.h5", turned, positions, mask=1 - mask.T)
    recipe = Recipe(**NAMES, mask="mask", transpose=True)
    prepared = prepare([path], recipe)
    told = "\n".join(prepared.remarks)
    assert "read with good pixels marked" in told
    assert "an even background of 20" in told
    assert "levels were raised" in told
    scan = prepared.scan
    assert scan.bad_pixels.sum() == 3 * N + 1
    assert scan.counts().mean() == pytest.approx(truth[2].mean(), rel=0.1)
    with_level = prepare([path], evolve(recipe, dark="none")).scan
    assert with_level.counts().mean() == pytest.approx(truth[2].mean() + 20, rel=0.1)
    number = prepare([path], evolve(recipe, dark="20")).scan
    assert number.counts().mean() == pytest.approx(truth[2].mean(), rel=0.1)
    assert misfit(scan, probe) < 0.75 * misfit(evolve(scan, xcoords=-scan.xcoords), probe)


def verdict(scan, probe):
    solution = solve(scan.counts(), scan.positions, probe, mask=scan.bad_pixels, epochs=20)
    return judge(reconstruction_of(solution, scan), scan)


@pytest.mark.parametrize("flat_frame", [False, True])
@pytest.mark.parametrize("level", [5, 20, 50])
def test_the_noise_of_a_subtracted_level_is_no_misfit(tmp_path, truth, frames, level, flat_frame):
    positions, probe, _ = truth
    rng = np.random.default_rng(level)
    lit = frames + rng.poisson(level, frames.shape).astype(np.uint32)
    lit[:, :, 80:83] = 2**32 - 1
    path = write(tmp_path / "raw.h5", lit, positions, dark=np.full(SHAPE, float(level)))
    recipe = Recipe(**NAMES, size=N, dark="dark" if flat_frame else f"{level}")
    prepared = prepare([path], recipe)
    write_prepared(prepared, tmp_path / "scan.npz")
    scan = load_scan(tmp_path / "scan.npz")
    good = ~scan.bad_pixels
    assert scan.background[good] == pytest.approx(level, rel=0.1)
    assert (scan.subtracted >= scan.background).all()
    right = verdict(scan, probe)
    assert 0.85 < right.ratio < 1.1
    assert verdict(evolve(scan, background=None), probe).ratio > 1.2  # what photons alone would say
    assert verdict(evolve(scan, xcoords=-scan.xcoords), probe).ratio > 1.2 * right.ratio


def test_an_offset_of_the_electronics_excuses_no_misfit(tmp_path, truth, frames):
    positions, probe, _ = truth
    noise = np.random.default_rng(2).normal(1000, 0.5, frames.shape)
    path = write(tmp_path / "raw.h5", np.where(frames > 1e9, frames, frames + np.rint(noise)),
                 positions)  # fmt: skip
    scan = prepare([path], Recipe(**NAMES, dark="1000")).scan
    assert scan.background.max() < 3
    mirrored = verdict(evolve(scan, xcoords=-scan.xcoords), probe)
    assert mirrored.ratio > 1.2 * verdict(scan, probe).ratio


def test_binning_and_padding_change_the_object_pixel(tmp_path, truth, frames):
    path = write(tmp_path / "raw.h5", frames, truth[0])
    binned = prepare([path], Recipe(**NAMES, bin=2, size=32)).scan
    assert binned.pixel_size_m == pytest.approx(OBJECT_PIXEL)
    assert binned.detector_pixel_size_m == 2 * PIXEL
    padded = prepare([path], Recipe(**NAMES, size=128, pad="unknown", centre="41,56")).scan
    assert padded.pixel_size_m == pytest.approx(OBJECT_PIXEL / 2)
    np.testing.assert_allclose(padded.xcoords, 2 * binned.xcoords)
    assert padded.bad_pixels[0].all()
    dark = prepare([path], Recipe(**NAMES, size=128, pad="dark", centre="41,56")).scan
    assert not dark.bad_pixels[0].any()
    with pytest.raises(InvalidValueError, match=r"size must be at most \d+ around.*--pad"):
        prepare([path], Recipe(**NAMES, size=128))


def test_axes_signs_turns_and_matrices_of_positions(tmp_path, truth, frames):
    positions = truth[0]
    path = write(tmp_path / "raw.h5", frames, positions)

    def offsets(**more):
        found = prepare([path], Recipe(**NAMES, **more)).scan.positions
        return found - found[0]

    step = positions - positions[0]
    x, y = step.T
    for more, expected in (
        ({}, (x, y)),
        ({"swap_xy": True, "flip_x": True}, (-y, x)),
        ({"rotate": "90"}, (-y, x)),
        ({"affine": "1,0.5,0,-1"}, (x + 0.5 * y, -y)),
        ({"flip_y": True, "rotate": "180"}, (-x, y)),
    ):
        np.testing.assert_allclose(offsets(**more), np.stack(expected, axis=1), atol=1e-5)


def test_counts_that_differ_are_matched_by_name_only(tmp_path, truth, frames):
    path = write(tmp_path / "raw.h5", frames[:80], truth[0])
    with pytest.raises(
        InvalidValueError, match=r"as many positions as there are frames, 80, got 90"
    ):
        prepare([path], Recipe(**NAMES))
    last = prepare([path], Recipe(**NAMES, drop_last=True)).scan
    first = prepare([path], Recipe(**NAMES, drop_first=True)).scan
    assert last.n == first.n == 80
    step = truth[0][11] - truth[0][10]
    np.testing.assert_allclose(first.positions[1] - first.positions[0], step, atol=1e-5)
    with h5py.File(path, "a") as file:
        for axis in "xy":
            values = file[axis][:70]
            del file[axis]
            file[axis] = values
    first = prepare([path], Recipe(**NAMES, drop_first=True)).scan
    plain = prepare([path], Recipe(**NAMES, drop_last=True)).scan
    np.testing.assert_array_equal(first.diffraction[0], prepare_row(path, 10))
    np.testing.assert_array_equal(plain.diffraction[0], prepare_row(path, 0))


def prepare_row(path, row):
    with h5py.File(path) as file:
        frame = file["frames"][row]
    window = prepare([path], Recipe(**NAMES, drop_last=True)).frames
    return window(frame[None])[0]


def test_patterns_at_one_place_are_added_up(tmp_path, truth, frames):
    twice = np.repeat(frames[:40], 2, axis=0)
    path = write(tmp_path / "raw.h5", twice, np.repeat(truth[0][:40], 2, axis=0))
    one = prepare([path], Recipe(**NAMES)).scan
    added = prepare([path], Recipe(**NAMES, merge=True)).scan
    assert (one.n, added.n) == (80, 40)
    np.testing.assert_array_equal(added.diffraction[5], 2 * one.diffraction[10])
    np.testing.assert_allclose(added.positions, one.positions[::2])


@pytest.mark.parametrize(
    "said", [{}, {"dark": "1"}, {"merge": True}, {"bin": 2, "size": 32, "dark": "1"}], ids=str
)
def test_a_pixel_without_a_value_in_a_frame_that_was_not_looked_at(tmp_path, truth, frames, said):
    late = frames.copy()
    late[UNSEEN, CENTRE[0] + 5, CENTRE[1] + 7] = 2**32 - 1
    path = write(tmp_path / "raw.h5", late, truth[0])
    prepared = prepare([path], Recipe(**NAMES | said))
    window = prepared.view.window
    row, column = CENTRE[0] + 5 - window.start[0], CENTRE[1] + 7 - window.start[1]
    place = row // window.binning, column // window.binning
    assert not prepared.scan.bad_pixels[place]
    written = write_prepared(prepared, tmp_path / "scan.npz")
    read = load_scan(tmp_path / "scan.npz")
    assert written.bad_pixels[place]
    assert read.bad_pixels[place]
    assert read.diffraction[:].max() < 1e6
    np.testing.assert_allclose(written.intensity_totals, read.intensity_totals, rtol=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("said", [{}, {"dark": "1"}, {"bin": 2, "size": 32}], ids=str)
def test_a_pixel_that_is_no_number_in_a_frame_that_was_not_looked_at(
    tmp_path, truth, frames, said, value
):
    late = np.where(frames > 1000, 0, frames).astype(np.float32)
    late[UNSEEN, CENTRE[0] + 5, CENTRE[1] + 7] = value
    path = write(tmp_path / "raw.h5", late, truth[0])
    prepared = prepare([path], Recipe(**NAMES | said))
    window = prepared.view.window
    row, column = CENTRE[0] + 5 - window.start[0], CENTRE[1] + 7 - window.start[1]
    write_prepared(prepared, tmp_path / "scan.npz")
    read = load_scan(tmp_path / "scan.npz")
    assert read.bad_pixels[row // window.binning, column // window.binning]
    known = prepared.scan.bad_pixels
    assert read.bad_pixels.sum() == 1 + (0 if known is None else known.sum())


@pytest.mark.parametrize("value", [2**32 - 1, np.nan])
def test_a_frame_without_any_value_makes_no_pixel_bad(tmp_path, truth, frames, value):
    late = frames if value > 0 else np.where(frames > 1000, 0, frames).astype(np.float32)
    late = late.copy()
    late[UNSEEN] = value
    path = write(tmp_path / "raw.h5", late, truth[0])
    prepared = prepare([path], Recipe(**NAMES))
    scan = write_prepared(prepared, tmp_path / "scan.npz")
    assert scan.bad_pixels is prepared.scan.bad_pixels
    assert scan.intensity_totals[UNSEEN] == 0
    assert load_scan(tmp_path / "scan.npz").diffraction[UNSEEN].max() == 0


@pytest.mark.parametrize(
    ("most", "largest", "dtype"),
    [(120, 254, np.uint8), (120, 255, np.uint32), (400, 65534, np.uint16), (400, 65535, np.uint32)],
)
def test_counts_are_written_in_the_bytes_they_need(tmp_path, truth, frames, most, largest, dtype):
    bright = np.where(frames < 1000, np.minimum(frames, most), frames)
    bright[UNSEEN, CENTRE[0] + 5, CENTRE[1] + 7] = largest
    path = write(tmp_path / "raw.h5", bright, truth[0])
    scan = write_prepared(prepare([path], Recipe(**NAMES)), tmp_path / "scan.npz")
    read = load_scan(tmp_path / "scan.npz")
    assert read.diffraction.dtype == dtype
    assert read.diffraction[UNSEEN, 37, 39] == largest
    np.testing.assert_array_equal(read.counts(), scan.counts())


def test_nothing_is_overwritten_or_left_behind(tmp_path, truth, frames):
    path = write(tmp_path / "raw.h5", frames, truth[0])
    out = tmp_path / "scan.npz"
    out.write_text("mine")
    with pytest.raises(OutputExistsError):
        write_prepared(prepare([path], Recipe(**NAMES)), out)
    assert out.read_text() == "mine"
    assert {file.name for file in tmp_path.iterdir()} == {"raw.h5", "scan.npz"}


@pytest.mark.parametrize(
    ("lacking", "found"),
    [
        ("energy", "energy must be known.*--energy 8.8keV"),
        ("distance", "distance must be known.*--distance 2.2m"),
        ("detector_pixel", "detector_pixel must be known.*--detector-pixel 75um"),
    ],
)
def test_what_the_files_lack_is_asked_for(tmp_path, truth, frames, lacking, found):
    path = write(tmp_path / "raw.h5", frames, truth[0])
    given = {name: value for name, value in NAMES.items() if name != lacking}
    with pytest.raises(InvalidValueError, match=found):
        prepare([path], Recipe(**given))


def test_dark_files_are_refused(tmp_path, truth, frames):
    path = write(tmp_path / "raw.h5", np.zeros_like(frames), truth[0])
    with pytest.raises(InvalidValueError, match="with light, got zeros only"):
        prepare([path], Recipe(**NAMES))


def test_a_beam_beside_the_middle_costs_no_light(tmp_path, truth, frames):
    row, column = CENTRE
    aside = frames[:, row - 32 : row + 32, column - 30 : column + 34]  # as large as a pattern
    scan = prepare([write(tmp_path / "raw.h5", aside, truth[0])], Recipe(**NAMES)).scan
    assert scan.N == N
    assert scan.bad_pixels[:, :2].all() != scan.bad_pixels[:, -2:].all()


@pytest.mark.parametrize(
    ("particle", "lacks", "advice"),
    [
        ("photon", "energy", "--energy 8.8keV"),
        ("electron", "energy", "--energy 300kV"),
        ("photon", "detector_pixel", "75um"),
        ("electron", "detector_pixel", "0.5mrad"),
    ],
)
def test_what_is_missing_is_asked_for_in_its_unit(tmp_path, truth, frames, particle, lacks, advice):
    path = write(tmp_path / "raw.h5", frames, truth[0])
    said = {name: value for name, value in NAMES.items() if name != lacks}
    with pytest.raises(InvalidValueError, match=advice):
        prepare([path], Recipe(**said, particle=particle))
