"""The wording of messages that people meet; other tests match keys and types only."""

import numpy as np
import pytest
from ptycho_config.errors import PtychoError
from ptycho_data import (
    Scan,
    format_named,
    group_positions,
    load_bundle,
    load_probe,
    load_reconstruction,
    load_scan,
    subsample,
)

FILE = "an NPZ or HDF5 file, complete and undamaged"


@pytest.fixture
def folder(tmp_path, monkeypatch, contract_arrays):
    """Scan files with one defect each, in the current folder."""
    monkeypatch.chdir(tmp_path)
    good = contract_arrays()
    changes = {
        "nan": {"diffraction": np.where(np.arange(12)[:, None, None] == 3, np.nan, good["Y"].real)},
        "short": {"ycoords": np.ones(5)},
        "still": {"xcoords": np.ones(12), "ycoords": np.ones(12)},
        "unstated": {"diffraction": np.full((12, 8, 8), 7.5)},
        "probe": {"probeGuess": np.ones((4, 4), np.complex64)},
    }
    for name, change in changes.items():
        arrays = {**good, **change}
        if name == "unstated":
            del arrays["domain"]
        np.savez(tmp_path / f"{name}.npz", **arrays)
    np.savez(tmp_path / "other.npz", counts=np.ones(3))
    np.savez(tmp_path / "none.npz", **{k: v for k, v in good.items() if k != "ycoords"})
    (tmp_path / "text.npz").write_text("hello")
    (tmp_path / "empty").mkdir()


def _amplitudes():
    probe = np.ones((4, 4), np.complex64)
    return Scan(diffraction=np.ones((2, 4, 4)), xcoords=[0, 1], ycoords=[0, 1], probe=probe,
                domain="amplitude")  # fmt: skip


MESSAGES = [
    (lambda: load_scan("gone.npz"), f"gone.npz must be {FILE}, got no such file"),
    (
        lambda: load_scan("text.npz"),
        f"text.npz must be {FILE}, got neither a zip archive nor HDF5; ptycho prepare FILE -o "
        "scan.npz makes a scan of the file of an instrument",
    ),
    (
        lambda: load_scan("empty"),
        "empty must be a scan in one file, got a folder without a file of patterns; name the file",
    ),
    (
        lambda: load_scan("none.npz"),
        "none.npz: ycoords must be (n,) positions in pixels, got no such array; the file holds: "
        "Y, bad_pixels, diffraction, domain, nphotons, objectGuess, pixel_size_m, probeGuess, "
        "scan_index, xcoords, xcoords_start, ycoords_start",
    ),
    (
        lambda: load_scan("short.npz"),
        "short.npz: ycoords must be of shape (12,) like xcoords, got float64 (5,)",
    ),
    (
        lambda: load_scan("still.npz"),
        "still.npz: xcoords must be different positions, got all positions equal (in ycoords too)",
    ),
    (
        lambda: load_scan("unstated.npz"),
        "unstated.npz: diffraction must be of a known domain, got float64 up to 7.5 without a "
        "domain; pass --domain counts or --domain amplitude (or add a key 'domain' to the file)",
    ),
    (
        lambda: load_scan("probe.npz"),
        "probe.npz: probeGuess must be of shape (8, 8) or (M, 8, 8) like the patterns, got "
        "complex64 (4, 4)",
    ),
    (
        lambda: load_probe("probe.npz", N=8),
        "probe.npz: probe must be of 8 x 8 pixels like the patterns, got 4 x 4",
    ),
    (
        lambda: load_reconstruction("gone.npz"),
        "gone.npz must be a reconstruction, got no such file",
    ),
    (
        lambda: load_bundle("gone"),
        "gone: no such bundle; pass a wts.h5.zip or the folder it is in",
    ),
    (
        lambda: format_named("tiff"),
        "format must be one of ptychodus, cxi, fold-slice, lcls, ptyr, npz, got 'tiff'",
    ),
    (
        lambda: _amplitudes().counts(),
        "scan: nphotons must be a positive number, the mean photons per pattern, got None; "
        "amplitudes have no absolute scale; set nphotons",
    ),
    (lambda: subsample(5, 6), "n_subsample must be 1 to 5, the patterns, got 6"),
    (
        lambda: group_positions([[0, 0], [1, 0], [2, 0], [3, 0]], 2, neighbor_count=5),
        "neighbor_count must be at most 4, the positions, got 5; lower neighbor_count or gridsize, "
        "or use more patterns",
    ),
]


@pytest.mark.parametrize(("call", "message"), MESSAGES, ids=range(len(MESSAGES)))
@pytest.mark.usefixtures("folder")
def test_wording(call, message):
    with pytest.raises(PtychoError) as caught:
        call()
    assert str(caught.value) == message


@pytest.mark.parametrize("load", [load_scan, load_probe, load_reconstruction, load_bundle])
def test_a_missing_file_is_one_for_python_too(tmp_path, load):
    with pytest.raises(FileNotFoundError, match="gone"):
        load(tmp_path / "gone.npz")
