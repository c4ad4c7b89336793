import numpy as np
import pytest
from ptycho_data import load_scan
from ptycho_physics import expected_counts, extract_patches


def simulate(ptycho, path, *args):
    small = ["--N", "64", "--size", "80", "--n-patterns", "12"]
    done = ptycho("simulate", "-o", path, *small, *args)
    assert done.code == 0, done.err
    return load_scan(path)


def test_file_has_the_whole_contract(ptycho, tmp_path):
    scan = simulate(ptycho, tmp_path / "s.npz")
    assert (scan.n, scan.N, scan.domain, scan.nphotons) == (12, 64, "counts", 1e6)
    assert scan.object_guess.shape == (80, 80)
    assert scan.probe.shape == (1, 64, 64)
    assert scan.mean_photons() == pytest.approx(1e6, rel=0.01)


def test_counts_are_those_of_the_forward_model(ptycho, tmp_path):
    scan = simulate(ptycho, tmp_path / "s.npz", "--photons", "1e7")
    patches = extract_patches(scan.object_guess, scan.positions, 64)
    rate = expected_counts(patches, scan.probe, 1e7)
    rate *= 1e7 / rate.sum(axis=(1, 2)).mean()
    # Poisson: the squared deviation over the rate is one on average.
    bright = rate > 10
    chi2 = (scan.diffraction[bright] - rate[bright]) ** 2 / rate[bright]
    assert chi2.mean() == pytest.approx(1, abs=0.05)


def test_dtype_holds_the_largest_count(ptycho, tmp_path):
    assert simulate(ptycho, tmp_path / "a.npz").diffraction.dtype == np.uint16
    bright = simulate(ptycho, tmp_path / "b.npz", "--photons", "1e9")
    assert bright.diffraction.dtype == np.uint32
    assert bright.diffraction.max() > 65535


def test_same_seed_same_bytes(ptycho, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        simulate(ptycho, tmp_path / f"{name}.npz", "--seed", seed, "--object", "random")
    a, b, c = ((tmp_path / f"{name}.npz").read_bytes() for name in "abc")
    assert a == b
    assert a != c


@pytest.mark.parametrize(
    "flags",
    [
        *(("--scan", kind) for kind in ("raster", "snake", "spiral", "fermat", "random")),
        *(("--probe", kind) for kind in ("disk", "gaussian", "defocused")),
        *(("--object", kind) for kind in ("lines", "siemens", "random")),
    ],
)
def test_kinds(ptycho, tmp_path, flags):
    assert simulate(ptycho, tmp_path / "s.npz", *flags).n == 12


def test_step_gives_the_number(ptycho, tmp_path):
    path = tmp_path / "s.npz"
    args = ["--size", "84", "--scan", "raster", "--step", "10", "--jitter", "0"]
    assert ptycho("simulate", "-o", path, *args).code == 0
    assert load_scan(path).n == 9
    both = ptycho("simulate", "-o", path, "--step", "5", "--n-patterns", "5", "--overwrite")
    assert both.code == 2
    assert both.fails_with("--n-patterns or --step")


def test_from_another_file(ptycho, scan_file, tmp_path):
    again = tmp_path / "again.npz"
    assert ptycho("simulate", "-o", again, "--from", scan_file, "--photons", "1e4").code == 0
    old, new = load_scan(scan_file), load_scan(again)
    np.testing.assert_array_equal(new.positions, old.positions)
    np.testing.assert_array_equal(new.probe, old.probe)
    np.testing.assert_array_equal(new.object_guess, old.object_guess)
    assert new.mean_photons() == pytest.approx(1e4, rel=0.02)
    # An option wins over the file.
    args = ["--scan", "raster", "--n-patterns", "4"]
    assert ptycho("simulate", "-o", again, "--from", scan_file, *args, "--overwrite").code == 0
    assert load_scan(again).n == 4
    np.testing.assert_array_equal(load_scan(again).object_guess, old.object_guess)


def test_object_smaller_than_the_patches_is_extended(ptycho, edited, tmp_path):
    rng = np.random.default_rng(0)
    positions = rng.uniform(30, 47, (2, 8))
    bare = edited(
        "bare.npz",
        diffraction=None,
        objectGuess=np.full((77, 76), 0.5 + 0.5j, np.complex64),
        xcoords=positions[0],
        ycoords=positions[1],
    )
    done = ptycho("simulate", "-o", tmp_path / "s.npz", "--from", bare)
    assert done.code == 0
    assert "padded with vacuum" in done.err
    scan = load_scan(tmp_path / "s.npz")
    assert scan.object_guess.shape == (77, 76)
    np.testing.assert_array_equal(scan.positions, positions.T)


def test_probe_from_a_file(ptycho, scan_file, tmp_path):
    path = tmp_path / "s.npz"
    args = ["--size", "80", "--n-patterns", "4", "--probe", scan_file]
    assert ptycho("simulate", "-o", path, *args).code == 0
    np.testing.assert_array_equal(load_scan(path).probe, load_scan(scan_file).probe)
    wrong = ptycho("simulate", "-o", path, *args, "--N", "128", "--overwrite")
    assert wrong.fails_with("N must be 64", "got 128")


def test_refusals(ptycho, scan_file, tmp_path):
    before = scan_file.read_bytes()
    small = ["--N", "64", "--size", "80", "--n-patterns", "4"]
    exists = ptycho("simulate", "-o", scan_file, *small)
    assert exists.code == 3
    assert exists.fails_with("scan.npz", "--overwrite")
    itself = ptycho("simulate", "-o", scan_file, "--from", scan_file, "--overwrite")
    assert itself.fails_with("an input of this command")
    below = ptycho("simulate", "-o", scan_file / "x.npz", *small)
    assert below.fails_with("is not a folder")
    folder = ptycho("simulate", "-o", tmp_path, *small)
    assert folder.fails_with("is a directory")
    gone = ptycho("simulate", "-o", tmp_path / "n.npz", "--from", tmp_path / "gone.npz")
    assert gone.code == 2
    assert gone.fails_with("gone.npz")
    crowded = ptycho("simulate", "-o", tmp_path / "n.npz", "--size", "32")
    assert crowded.fails_with("shape must be at least 66 pixels")
    for flag in ("--photons", "--n-patterns", "--step"):
        assert ptycho("simulate", "-o", tmp_path / "n.npz", flag, "0").code == 2
    assert scan_file.read_bytes() == before
    assert not (tmp_path / "n.npz").exists()


def test_pixels_are_capital_n_as_in_training(ptycho, tmp_path):
    done = ptycho("simulate", "-o", tmp_path / "s.npz", "--n", "64")
    assert done.code == 2
    assert done.fails_with("--n", "--N")


def test_a_detector_with_faults(ptycho, tmp_path):
    faults = [
        "--read-noise",
        "2",
        "--saturation",
        "300",
        "--beam-stop",
        "6",
        "--bad-pixels",
        "0.01",
    ]
    scan = simulate(ptycho, tmp_path / "s.npz", *faults)
    ideal = simulate(ptycho, tmp_path / "ideal.npz")
    assert ideal.bad_pixels is None
    assert scan.bad_pixels[32, 32]
    assert (
        28 + 41 - 5 <= scan.bad_pixels.sum() <= 28 + 41
    )  # a disk, and one in a hundred of 64 x 64
    assert (scan.diffraction[:, scan.bad_pixels] == 0).all()
    assert scan.diffraction.max() == 300 < ideal.diffraction.max()
    dark = (ideal.diffraction == 0) & ~scan.bad_pixels
    assert (scan.diffraction[dark] > 0).any()


def test_saturation_is_reported(ptycho, tmp_path):
    small = ["--N", "64", "--size", "80", "--n-patterns", "12", "--saturation", "300"]
    done = ptycho("simulate", "-o", tmp_path / "s.npz", *small)
    assert "12 of 12 patterns have pixels saturated at 300" in done.err


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--beam-stop", "200"), "diameter"),
        (("--saturation", "0"), "--saturation"),
        (("--bad-pixels", "1"), "--bad-pixels"),
        (("--read-noise", "-1"), "--read-noise"),
    ],
)
def test_impossible_detectors_are_refused(ptycho, tmp_path, flags, words):
    done = ptycho("simulate", "-o", tmp_path / "s.npz", *flags)
    assert done.code != 0
    assert done.fails_with(words)
    assert not (tmp_path / "s.npz").exists()


def test_what_does_not_fit_is_refused_before_it_is_made(ptycho, tmp_path):
    out, large = tmp_path / "large.npz", ("--N", 8192, "--size", 65536, "--n-patterns", 100_000)
    shown = ptycho("simulate", "-o", out, *large, "--dry-run")
    assert shown.code == 0
    assert "more than is free" in shown.out
    done = ptycho("simulate", "-o", out, *large)
    assert done.code == 1
    assert "small enough for the memory" in done.err
    assert not out.exists()
