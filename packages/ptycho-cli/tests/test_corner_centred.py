"""Commands report patterns whose zero frequency is in the corner."""

import json

import numpy as np
import pytest
from ptycho_data import load_scan


@pytest.fixture
def corner_centred_file(edited, scan_file):
    return edited(
        "corner.npz", diffraction=np.fft.ifftshift(load_scan(scan_file).diffraction, axes=(-2, -1))
    )


def warnings_of(done):
    return [line for line in done.err.splitlines() if line.startswith("warning: ")]


def test_every_command_that_reads_patterns_warns_in_one_line(
    ptycho, scan_file, corner_centred_file, tmp_path, stand_in
):
    model, result, solved = (tmp_path / name for name in ("model", "result", "solved"))
    for path, count in ((corner_centred_file, 1), (scan_file, 0)):
        for args in (
            ("train", path, "-o", model),
            ("infer", model, path, "-o", result),
            ("reconstruct", path, "-o", solved, "--epochs", "1"),
        ):
            done = ptycho(*args, "--overwrite", "-q")
            assert done.code == 0, done.err
            warned = [line for line in warnings_of(done) if "np.fft.fftshift" in line]
            assert len(warned) == count
            assert all("corner.npz" in line for line in warned)
    # Reported, not corrected.
    used = stand_in.trainings[0]["scans"].diffraction
    np.testing.assert_array_equal(used, load_scan(corner_centred_file).diffraction)


def test_inspect_reports_it_first(ptycho, scan_file, corner_centred_file):
    report = json.loads(ptycho("inspect", corner_centred_file, "--json").out)
    assert report["region_intensities"]["corner_centred"] is True
    (caution,) = [c for c in report["cautions"] if c["code"] == "corner-centred"]
    assert "[32, 32]" in caution["text"]
    assert caution["text"] in report["warnings"]
    assert "np.fft.fftshift" in ptycho("inspect", corner_centred_file).out
    report = json.loads(ptycho("inspect", scan_file, "--json").out)
    assert report["region_intensities"]["corner_centred"] is False
    assert "fftshift" not in ptycho("inspect", scan_file).out
