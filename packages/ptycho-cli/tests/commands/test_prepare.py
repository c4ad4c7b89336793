"""``ptycho prepare`` on the file of an instrument, made of a simulated scan."""

import h5py
import numpy as np
import pytest
from ptycho_data import load_scan

#: Of 9 keV, 2 m, and 64 pixels of 75 um.
OBJECT_PIXEL_UM = 1.239841984 / 9000 * 2 / (64 * 75e-6)


@pytest.fixture
def raw_file(scan_file):
    """The scan on a larger detector, positions in micrometres."""
    scan, path = load_scan(scan_file), scan_file.with_name("scan_0042.h5")
    frames = np.zeros((scan.n, 80, 96), np.uint16)
    frames[:, 5:69, 20:84] = scan.diffraction
    with h5py.File(path, "w") as file:
        file["entry/data/data"] = frames
        for axis, values in (("x", scan.xcoords), ("y", scan.ycoords)):
            file[f"motors/{axis}"] = values * OBJECT_PIXEL_UM
    return path


NAMES = ("--x", "motors/x", "--y", "/motors/y", "--unit", "um", "--energy", "9keV",
         "--distance", "2m", "--detector-pixel", "75um", "--first-probe", "none")  # fmt: skip


def test_a_file_becomes_a_scan(ptycho, raw_file):
    out = raw_file.with_name("out.npz")
    done = ptycho("prepare", raw_file, "-o", out, *NAMES)
    assert done.code == 0, done.err
    assert "beam centre of the light: row 37" in done.out
    assert f"wrote {out}: 60 patterns of 64 x 64, counts" in done.out
    assert done.out.splitlines()[-1] == f"next: ptycho reconstruct {out} --update-probe -o " + str(
        out.with_suffix("")
    )
    assert out.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert load_scan(out).n == 60


def test_a_recipe_is_written_once_and_used_again(ptycho, raw_file):
    out, recipe = raw_file.with_name("out.npz"), raw_file.with_name("beamline.toml")
    ptycho("prepare", raw_file, "-o", out, *NAMES, "--flip-x", "--save-recipe", recipe)
    assert 'distance = "2m"  # ' in recipe.read_text()
    again = raw_file.with_name("again.npz")
    done = ptycho("prepare", raw_file, "-o", again, "--recipe", recipe)
    assert done.code == 0, done.err
    assert again.read_bytes() == out.read_bytes()
    assert again.with_suffix(".png").exists()
    other = raw_file.with_name("other.npz")
    ptycho("prepare", raw_file, "-o", other, "--recipe", recipe, "--no-flip-x")
    first, second = load_scan(out).xcoords, load_scan(other).xcoords
    np.testing.assert_allclose(first - first[0], second[0] - second)


@pytest.mark.slow
def test_orientation_and_probe_are_found_and_kept_in_the_recipe(ptycho, raw_file):
    out, recipe = raw_file.with_name("out.npz"), raw_file.with_name("beamline.toml")
    with h5py.File(raw_file, "a") as file:
        file["motors/x"][...] *= -1
    names = [*NAMES[:-2], "--save-recipe", recipe]
    done = ptycho("prepare", raw_file, "-o", out, *names)
    assert done.code == 0, done.err
    assert "or its twin" in done.out
    assert "quick reconstruction of 60 patterns" in done.out
    scan = load_scan(out)
    assert not scan.probe_made
    text = recipe.read_text()
    assert 'orientation = "as-is"' in text
    flips = ("flip_x = true" in text, "flip_y = true" in text)
    assert flips in ((True, False), (False, True))
    again = raw_file.with_name("again.npz")
    done = ptycho("prepare", raw_file, "-o", again, "--recipe", recipe, "--first-probe", out)
    assert "orientation  " not in done.out
    np.testing.assert_array_equal(load_scan(again).positions, scan.positions)
    first, second = scan.probe.ravel(), load_scan(again).probe.ravel()  # refined once more
    assert abs(np.vdot(first, second)) > 0.99 * np.linalg.norm(first) * np.linalg.norm(second)


@pytest.mark.parametrize(
    ("more", "found"),
    [
        (("--patterns", "none"), "patterns must be a dataset of scan_0042.h5"),
        (("--size", "0"), "--size"),
        (("--raster", "9"), "raster must be ROWSxCOLUMNS"),
        (("--energy", "none"), "energy must be a dataset"),
        (("--centre", "400,4"), "centre must be in frames of 80 rows and 96 columns"),
    ],
)
def test_what_does_not_fit_is_one_line(ptycho, raw_file, more, found):
    out = raw_file.with_name("out.npz")
    assert ptycho("prepare", raw_file, "-o", out, *NAMES, *more).fails_with(found)
    assert not out.exists()


def test_inputs_and_existing_files_stay(ptycho, raw_file):
    before = raw_file.read_bytes()
    done = ptycho("prepare", raw_file, "-o", raw_file, *NAMES, "--overwrite")
    assert done.fails_with("another file than the inputs")
    out = raw_file.with_name("out.npz")
    out.write_text("mine")
    assert ptycho("prepare", raw_file, "-o", out, *NAMES).fails_with("exists already")
    assert raw_file.read_bytes() == before
    assert out.read_text() == "mine"


def test_patterns_without_photons_leave_no_file(ptycho, raw_file):
    with h5py.File(raw_file, "r+") as file:
        file["entry/data/data"][...] = 0
    out = raw_file.with_name("out.npz")
    before = sorted(raw_file.parent.iterdir())
    done = ptycho("prepare", raw_file, "-o", out, *NAMES, "--centre", "37,52")
    assert done.fails_with("zeros only")
    assert sorted(raw_file.parent.iterdir()) == before


def test_a_scan_without_its_picture_is_not_done(ptycho, raw_file):
    out, recipe = raw_file.with_name("out.npz"), raw_file.with_name("beamline.toml")
    command = ("prepare", raw_file, "-o", out, *NAMES, "--save-recipe", recipe, "--skip-done")
    assert ptycho(*command).code == 0
    scan, picture = out.read_bytes(), out.with_suffix(".png")
    picture.unlink()  # as after a kill, since the picture is drawn last
    again = ptycho(*command)
    assert again.code == 0, again.err
    assert f"wrote {out}" in again.out
    assert picture.exists()
    assert out.read_bytes() == scan
    assert "wrote" not in ptycho(*command).out
    picture.unlink()
    assert "wrote" not in ptycho(*command, "--no-picture").out
    assert ptycho(*command[:-1]).fails_with("exists already")


def test_of_one_scan_the_summary_says_so(ptycho, raw_file):
    done = ptycho("prepare", raw_file, "--each", "-o", raw_file.with_name("scans"), *NAMES)
    assert done.out.splitlines()[-1].startswith("1 scan: 1 done")
