import json

import numpy as np
import pytest


def test_text_has_the_main_properties(ptycho, scan_file):
    done = ptycho("inspect", scan_file)
    assert done.code == 0
    for words in (
        "60 x 64 x 64",
        "no violation",
        "counts (stated in the file)",
        " per pattern (",
        "overlap",
        f"ptycho train {scan_file} -o model",
    ):
        assert words in done.out


def test_json(ptycho, scan_file):
    done = ptycho("inspect", scan_file, "--json")
    report = json.loads(done.out)
    assert (report["patterns"], report["N"], report["domain"]) == (60, 64, "counts")
    assert report["violations"] == []
    assert {"key": "diffraction", "shape": [60, 64, 64], "dtype": "uint16"} in report["arrays"]
    assert report["photons_per_pattern"]["mean"] == pytest.approx(1e6, rel=0.01)
    assert 0 < report["overlap"]["fraction"] < 1


def test_domain_and_why(ptycho, edited, amplitude_file):
    plain = edited(domain=None, _metadata=None)
    assert "counts (not stated: from the values)" in ptycho("inspect", plain).out
    assert "counts (stated by --domain)" in ptycho("inspect", plain, "--domain", "counts").out
    text = ptycho("inspect", amplitude_file).out
    assert "amplitude (stated in the file)" in text
    assert "photons" in text
    assert "unknown" in text
    assert "--nphotons" in text


def test_all_violations_are_listed(ptycho, edited, scan_file):
    with np.load(scan_file) as file:
        diffraction = file["diffraction"].astype(np.float32)
    diffraction[3, 4, 5] = np.nan
    path = edited(diffraction=diffraction, ycoords=None, probeGuess=np.ones((32, 32), np.complex64))
    done = ptycho("inspect", path)
    assert done.code == 1
    for key in ("diffraction", "ycoords", "probeGuess"):
        assert f"\n  {key} must be " in done.out
    report = json.loads(ptycho("inspect", path, "--json").out)
    assert len(report["violations"]) >= 3
    assert "patterns" not in report


def test_a_suggested_command_works(ptycho, scan_file, tmp_path, stand_in):
    text = ptycho("inspect", scan_file).out
    line = next(row for row in text.splitlines() if row.startswith("  ptycho train"))
    words = line.replace("-o model", f"-o {tmp_path / 'model'}").split()
    assert ptycho(*words[1:]).code == 0
    assert stand_in.trainings[-1]["config"].batch_size == 16


def test_a_size_that_no_network_accepts(ptycho, tmp_path):
    path = tmp_path / "scan.npz"
    args = ["--N", "40", "--size", "80", "--n-patterns", "70", "-q"]
    assert ptycho("simulate", "-o", path, *args).code == 0
    text = ptycho("inspect", path).out
    assert f"\n  ptycho reconstruct {path} -o result\n" in text
    assert "\n  ptycho train" not in text
    assert "note: `ptycho train` accepts patterns of 64, 128 or 256 pixels, not of 40" in text
    report = json.loads(ptycho("inspect", path, "--json").out)
    assert report["suggestions"]["command"] == "reconstruct"
    assert ptycho("reconstruct", path, "-o", tmp_path / "result", "--epochs", "1").code == 0


def test_plot(ptycho, scan_file, amplitude_file, tmp_path):
    for path, name in ((scan_file, "a.png"), (amplitude_file, "b.png")):
        assert ptycho("inspect", path, "--plot", tmp_path / name).code == 0
        assert (tmp_path / name).stat().st_size > 10_000
    again = ptycho("inspect", scan_file, "--plot", tmp_path / "a.png")
    assert again.fails_with("a.png", "--overwrite")
    assert ptycho("inspect", scan_file, "--plot", tmp_path / "a.png", "--overwrite").code == 0
    assert ptycho("inspect", scan_file, "--plot", scan_file, "--overwrite").fails_with("an input")


def test_what_is_no_scan(ptycho, scan_file, tmp_path):
    assert ptycho("inspect", tmp_path / "gone.npz").code == 2
    (tmp_path / "text.npz").write_text("hello")
    assert ptycho("inspect", tmp_path / "text.npz").fails_with("text.npz", "zip")
    cut = tmp_path / "cut.npz"
    cut.write_bytes(scan_file.read_bytes()[:5000])
    assert ptycho("inspect", cut).fails_with("cut.npz", "zip")
    np.savez(tmp_path / "keys.npz", apples=[1])
    done = ptycho("inspect", tmp_path / "keys.npz")
    assert done.code == 1
    assert "apples" in done.out
    assert "diffraction must be " in done.out


@pytest.mark.parametrize("fmt", ["scan.cxi", "folder"])
def test_other_formats(ptycho, scan_file, tmp_path, fmt):
    options = ["--pixel-size-m", "1e-8", *(["--to", "ptychodus"] if fmt == "folder" else [])]
    assert ptycho("convert", scan_file, tmp_path / fmt, *options).code == 0
    done = ptycho("inspect", tmp_path / fmt, "--json")
    assert done.code == 0
    report = json.loads(done.out)
    assert (report["patterns"], report["N"], report["domain"]) == (60, 64, "counts")
    assert report["domain_reason"] == "the format holds counts"
    assert report["format"] in ("CXI 1.6", "ptychodus patterns and product")
    assert report["pixel_size_m"] == pytest.approx(1e-8)
    wider = json.loads(ptycho("inspect", tmp_path / fmt, "--json", "--pixel-size-m", "2e-8").out)
    assert wider["overlap"]["fraction"] > report["overlap"]["fraction"]  # in pixels, half the step


def test_what_protects_the_file(ptycho, scan_file, tmp_path):
    words = " ".join(ptycho("inspect", scan_file).out.split())
    assert "checksums CRC-32 of every array" in words
    ptycho("convert", scan_file, tmp_path / "folder", "--to", "ptychodus")
    report = json.loads(ptycho("inspect", tmp_path / "folder", "--json").out)
    full = "Fletcher-32 of every array, checksums of the headers"
    assert report["checksums"] == {"diffraction.h5": full, "product.h5": full}


def test_suggested_size(ptycho, scan_file, tmp_path):
    assert json.loads(ptycho("inspect", scan_file, "--json").out)["suggestions"]["N"] == 64
    args = ["--N", "100", "--size", "200", "--n-patterns", "6", "-q"]
    assert ptycho("simulate", "-o", tmp_path / "s.npz", *args).code == 0
    report = json.loads(ptycho("inspect", tmp_path / "s.npz", "--json").out)
    assert report["suggestions"]["N"] == 128


def test_a_long_scan_is_plotted_in_part(ptycho, scan_file, tmp_path, monkeypatch):
    monkeypatch.setattr("ptycho_data.plots.MAX_POSITIONS", 25)
    assert ptycho("inspect", scan_file, "--plot", tmp_path / "a.png").code == 0
    assert (tmp_path / "a.png").stat().st_size > 10_000


def test_a_scan_without_overlap_gets_no_command(ptycho, edited):
    path = edited(xcoords=64.0 * np.arange(60) + 32, objectGuess=None)
    done = ptycho("inspect", path)
    assert done.code == 0
    assert "\nproblem: neighbouring patterns must overlap" in done.out
    assert "suggested" not in done.out
    assert "ptycho train" not in done.out


def test_bad_pixels_take_no_part(ptycho, edited, scan_file):
    """Whatever they hold: the JSON is strict, and text and numbers are those of good pixels."""
    bad = np.zeros((64, 64), bool)
    bad[:, 20:22] = bad[40] = True
    reports = []
    with np.load(scan_file) as file:
        patterns = file["diffraction"].astype(np.float64)
    for value in (0, 2**32 - 1, np.nan):
        patterns[:, bad] = value
        path = edited(diffraction=patterns, bad_pixels=bad, domain="counts")
        done = ptycho("inspect", path, "--json")
        reports.append(json.loads(done.out, parse_constant=pytest.fail))
        assert "190 (4.64 %)" in ptycho("inspect", path).out
    kept = ("saturation", "photons_per_pattern", "light_centre", "cautions", "bad_pixels")
    first, *others = [{key: report[key] for key in kept} for report in reports]
    assert others == [first, first]
    assert first["bad_pixels"] == 190
    assert not first["saturation"]["suspected"]


def test_what_is_known_of_experiment_and_stage(ptycho, scan_file):
    given = ["--photon-energy-ev", "2e5", "--detector-distance-m", "2", "--particle", "electron"]
    report = json.loads(ptycho("inspect", scan_file, "--json", *given).out)
    assert report["experiment"] == {
        "photon_energy_eV": 2e5,
        "detector_distance_m": 2.0,
        "particle": "electron",
    }
    assert "electron, 200000 eV, distance 2 m" in ptycho("inspect", scan_file, *given).out


HOSTILE = "probe\nno violation of the scan contract\x1b[2J\x9b1m\u202egpj"


@pytest.mark.parametrize(
    ("dropped", "code"),
    [({}, 0), ({"probeGuess": None}, 0), ({"xcoords": None}, 1)],
    ids=["valid", "without probe", "invalid"],
)
def test_names_in_a_file_cannot_forge_lines(ptycho, edited, dropped, code):
    path = edited(f"{HOSTILE}.npz", **{HOSTILE: 1, "x" * 5000: 1}, **dropped)
    done = ptycho("inspect", path)
    assert done.code == code
    lines = (done.out + done.err).split("\n")
    assert all(line.isprintable() for line in lines)
    assert max(map(len, lines)) < 1200
    forged = [line for line in lines if line.startswith("no violation")]
    assert len(forged) == (0 if code else 1)
    for text in ("\\n", "\\x1b[2J", "\\x9b1m", "\\u202egpj"):
        assert text in done.out


def test_names_in_hdf5_cannot_forge_lines(ptycho, tmp_path):
    import h5py

    path = tmp_path / "scan.h5"
    with h5py.File(path, "w") as file:
        file[HOSTILE] = 1
        file.create_group("g").attrs[HOSTILE] = HOSTILE
        file["diffraction"] = [HOSTILE]
    done = ptycho("inspect", path)
    assert done.code == 1
    assert all(line.isprintable() for line in (done.out + done.err).split("\n"))
    assert "\nno violation" not in done.out + done.err
