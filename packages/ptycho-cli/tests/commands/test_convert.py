"""A scan into other formats and back, by the command; and every command on every format."""

import json

import h5py
import numpy as np
import pytest
from ptycho_data import load_scan


def assert_same(path, scan, pixel_size_m=None):
    read = load_scan(path)
    np.testing.assert_array_equal(read.diffraction, scan.diffraction)
    np.testing.assert_allclose(read.positions, scan.positions, atol=1e-9)
    np.testing.assert_array_equal(read.probe, scan.probe)
    assert read.pixel_size_m == pixel_size_m


@pytest.mark.parametrize("words", [("out.cxi",), ("out",), ("out.dat", "--to", "npz")])
def test_there_and_back(ptycho, scan_file, tmp_path, words):
    scan = load_scan(scan_file)
    out, back = tmp_path / words[0], tmp_path / "back.npz"
    there = ptycho("convert", scan_file, out, *words[1:])
    assert there.code == 0, there.err
    first, *_ = there.out.splitlines()
    assert first == "read scan.npz: NPZ contract, positions in object pixels"
    assert f"wrote {out}: " in there.out
    assert "60 patterns of 64 x 64, uint16 counts" in there.out
    if words == ("out",):
        assert {path.name for path in out.iterdir()} == {"diffraction.h5", "product.h5"}
    if words[-1] != "npz":
        assert (
            "  the object pixel is unknown: lengths are in nominal pixels of 1e-08 m" in there.out
        )
    assert ptycho("convert", out, back).code == 0
    assert_same(back, scan)


def test_what_the_file_does_not_say(ptycho, scan_file, tmp_path):
    stated = ("--pixel-size-m", "2e-8", "--photon-energy-ev", "9000", "--detector-distance-m", "2")
    done = ptycho("convert", scan_file, tmp_path / "a.cxi", *stated)
    assert "unknown" not in done.out
    read = load_scan(tmp_path / "a.cxi")
    assert read.pixel_size_m == pytest.approx(2e-8)
    assert read.photon_energy_ev == pytest.approx(9000)
    assert read.detector_distance_m == 2
    # wavelength * distance / (N * pixel)
    assert read.detector_pixel_size_m == pytest.approx(1.3776e-10 * 2 / (64 * 2e-8), rel=1e-4)


def test_corrections(ptycho, scan_file, tmp_path):
    scan = load_scan(scan_file)
    words = ("--swap-xy", "--flip-y", "--shift-patterns")
    done = ptycho("convert", scan_file, tmp_path / "a.npz", *words)
    assert done.code == 0
    assert "\n  corrected: x and y swapped, sign of y changed, zero frequency of" in done.out
    assert "\n  left out: objectGuess (" in done.out
    assert "corrected" not in ptycho("convert", scan_file, tmp_path / "b.npz").out
    read = load_scan(tmp_path / "a.npz")
    np.testing.assert_array_equal(read.xcoords, scan.ycoords)
    np.testing.assert_array_equal(read.ycoords, -scan.xcoords)
    moved = np.fft.fftshift(scan.diffraction, axes=(1, 2))
    np.testing.assert_array_equal(read.diffraction, moved)
    assert read.object_guess is None


def test_nothing_is_overwritten(ptycho, scan_file, tmp_path):
    out = tmp_path / "out"
    assert ptycho("convert", scan_file, out).code == 0
    before = (out / "product.h5").read_bytes()
    assert ptycho("convert", scan_file, out).fails_with("diffraction.h5", "--overwrite")
    assert ptycho("convert", out, out, "--overwrite").fails_with("an input of this command")
    assert (out / "product.h5").read_bytes() == before
    same = ptycho("convert", scan_file, scan_file, "--overwrite")
    assert same.fails_with("an input of this command")
    assert ptycho("convert", scan_file, out, "--overwrite").code == 0


def test_positions_of_another_file(ptycho, scan_file, solved, tmp_path):
    scan, file, out = load_scan(scan_file), tmp_path / "1-scan.npz", tmp_path / "moved.npz"
    words = ("convert", scan_file, out, "--overwrite", "--positions-file")
    np.savez(file, xcoords=scan.xcoords + 0.25, ycoords=scan.ycoords - 0.5, probe=scan.probe)
    assert ptycho(*words, file).code == 0
    read = load_scan(out)
    np.testing.assert_array_equal(read.xcoords, scan.xcoords + 0.25)
    np.testing.assert_array_equal(read.ycoords, scan.ycoords - 0.5)
    np.testing.assert_array_equal(read.start_positions, scan.start_positions)
    assert ptycho(*words, solved / "reconstruction.npz").code == 0
    np.testing.assert_allclose(load_scan(out).positions, scan.positions, atol=1e-9)
    kept = out.read_bytes()
    for wrong, message in (
        ({"xcoords": scan.xcoords[1:], "ycoords": scan.ycoords[1:]}, "those of all 60 patterns"),
        ({"xcoords": scan.xcoords, "ycoords": scan.ycoords * np.nan}, "be finite"),
        ({"xcoords": scan.xcoords}, "ycoords must be one array, got 0 arrays of this name"),
        (
            {
                "xcoords": scan.xcoords,
                "ycoords": scan.ycoords,
                "indices": np.arange(scan.n)[::-1],
            },
            "in their order",
        ),
    ):
        np.savez(file, **wrong)
        assert ptycho(*words, file).fails_with(message)
    assert out.read_bytes() == kept


def test_mistakes_are_told_in_a_line(ptycho, scan_file, tmp_path):
    assert ptycho("convert", scan_file, tmp_path / "a.tiff").fails_with("--to FORMAT", ".cxi (cxi)")
    (tmp_path / "text").write_text("hello")
    bad = ptycho("convert", tmp_path / "text", tmp_path / "a.npz")
    assert bad.fails_with("neither a zip archive nor HDF5")
    assert not (tmp_path / "a.npz").exists()


def test_fold_slice_with_a_probe_from_elsewhere(ptycho, scan_file, tmp_path):
    scan = load_scan(scan_file)
    (tmp_path / "far").mkdir()
    patterns, positions = tmp_path / "a_dp.hdf5", tmp_path / "far" / "a_para.hdf5"
    with h5py.File(patterns, "w") as file:
        file.create_dataset("dp", data=scan.diffraction, compression="lzf")
    with h5py.File(positions, "w") as file:
        file["ppX"], file["ppY"] = scan.xcoords * 1e-8, scan.ycoords * 1e-8
    out = tmp_path / "out.npz"
    assert ptycho("convert", patterns, out).fails_with("no positions", "--companion")
    words = ("--companion", positions, "--probe-file", scan_file)
    assert ptycho("convert", patterns, out, *words).fails_with("ppX", "--pixel-size-m")
    assert ptycho("convert", patterns, out, *words, "--pixel-size-m", "1e-8").code == 0
    assert_same(out, scan, 1e-8)


@pytest.fixture(params=["folder", "product", "cxi"])
def elsewhere(request, ptycho, scan_file, tmp_path):
    out = tmp_path / ("in.cxi" if request.param == "cxi" else "in")
    assert ptycho("convert", scan_file, out).code == 0
    return out / "product.h5" if request.param == "product" else out


def test_commands_take_every_format(ptycho, scan_file, solved, elsewhere, tmp_path):
    done = ptycho("reconstruct", elsewhere, "-o", tmp_path / "rec", "--epochs", "1")
    assert done.code == 0, done.err
    assert "correlation with objectGuess" in done.out
    for words in (
        ("inspect", elsewhere),
        ("config", "show", elsewhere),
        ("evaluate", tmp_path / "rec", elsewhere),
        ("evaluate", solved, elsewhere),
        ("simulate", "--from", elsewhere, "-o", tmp_path / "again.npz"),
        ("fixture", elsewhere, "-o", tmp_path / "small.npz", "--subset-size", "8"),
        (
            "reconstruct",
            scan_file,
            "-o",
            tmp_path / "r2",
            "--epochs",
            "1",
            "--probe-file",
            elsewhere,
        ),
    ):
        done = ptycho(*words)
        assert done.code == 0, (words, done.err)
    same = load_scan(tmp_path / "again.npz")
    np.testing.assert_allclose(same.positions, load_scan(scan_file).positions, atol=1e-9)


def test_metres_and_geometry_survive_conversions_and_a_reconstruction(ptycho, scan_file, tmp_path):
    geometry = ["--photon-energy-ev", "9000", "--detector-distance-m", "2"]
    geometry += ["--detector-pixel-size-m", "75e-6"]
    assert ptycho("convert", scan_file, tmp_path / "in", "--to", "ptychodus", *geometry).code == 0
    with h5py.File(tmp_path / "in" / "product.h5", "a") as file:
        for axis, place in (("x", 3.1234e-3), ("y", -1.7e-3)):
            file[f"probe_position_{axis}_m"][...] += place
            file["object"].attrs[f"center_{axis}_m"] += place
        before = {axis: file[f"probe_position_{axis}_m"][()] for axis in "xy"}
    out = tmp_path / "out"
    for words in (
        ("convert", tmp_path / "in", tmp_path / "a.npz"),
        ("convert", tmp_path / "a.npz", tmp_path / "b.cxi"),
        ("convert", tmp_path / "b.cxi", out / "again", "--to", "ptychodus"),
        ("reconstruct", tmp_path / "b.cxi", "-o", out / "solved", "--epochs", 1),
    ):
        assert ptycho(*words).code == 0, words
    for folder in ("again", "solved"):
        with h5py.File(out / folder / "product.h5") as file:
            for axis in "xy":
                after = file[f"probe_position_{axis}_m"][()]
                np.testing.assert_allclose(after, before[axis], rtol=0, atol=1e-12)
            assert file.attrs["photon_energy_eV"] == pytest.approx(9000)
            assert file.attrs["detector_object_distance_m"] == pytest.approx(2)
    done = ptycho("evaluate", out / "solved", out / "solved" / "product.h5", "--json")
    assert json.loads(done.out)["mean_removed_correlation"] == pytest.approx(1, abs=1e-6)
    there = ptycho("evaluate", out / "solved", tmp_path / "in" / "product.h5", "--json")
    known = ptycho("evaluate", out / "solved", tmp_path / "b.cxi", "--json")
    one, other = (json.loads(text.out)["correlation"] for text in (there, known))
    assert one == pytest.approx(other, abs=1e-4)


@pytest.mark.parametrize("out", ["one.cxi", "one.npz"])
def test_one_of_several_scans(ptycho, edited, scan_file, tmp_path, out):
    n = load_scan(scan_file).n
    path = edited("two.npz", scan_index=np.repeat([3, 8], [n - 20, 20]))
    refused = ptycho("convert", path, tmp_path / "both.cxi")
    assert refused.code == 1
    assert "--scan-index" in refused.err
    assert not (tmp_path / "both.cxi").exists()
    assert ptycho("convert", path, tmp_path / "both.npz").code == 0  # which numbers them
    assert ptycho("convert", path, tmp_path / out, "--scan-index", "8").code == 0
    one = load_scan(tmp_path / out)
    np.testing.assert_array_equal(one.counts(), load_scan(path).counts()[-20:])


@pytest.mark.parametrize("far", [2e5, 1e15, 1e300, np.nan, np.inf])
@pytest.mark.parametrize("command", ["convert", "reconstruct", "simulate"])
def test_a_far_position_is_refused_by_its_number(ptycho, edited, scan_file, tmp_path, command, far):
    scan = load_scan(scan_file)
    x, y = scan.xcoords.copy(), scan.ycoords.copy()
    x[7] = y[7] = far
    path, out = edited(xcoords=x, ycoords=y), tmp_path / "out.npz"
    words = {
        "convert": ("convert", path, out),
        "reconstruct": ("reconstruct", path, "-o", tmp_path / "folder", "--epochs", 1),
        "simulate": ("simulate", "--from", path, "-o", out),
    }[command]
    done = ptycho(*words)
    assert done.code == 1
    assert "internal error" not in done.err
    if np.isfinite(far) or command != "simulate":
        assert "number 7" in done.err or "index 7" in done.err
    assert not out.exists()
