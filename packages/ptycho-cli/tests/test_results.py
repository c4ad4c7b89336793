import attrs
import numpy as np
from ptycho_cli.results import reference_metrics, summary
from ptycho_data import load_reconstruction, load_scan


def test_reference_metrics(solved, scan_file):
    rec, scan = load_reconstruction(solved / "reconstruction.npz"), load_scan(scan_file)
    assert reference_metrics(rec, scan)["correlation"] > 0.98
    assert reference_metrics(rec, attrs.evolve(scan, object_guess=None)) == {}
    # A reference that does not reach the scanned part loses the figures, not the result.
    tiny = attrs.evolve(scan, object_guess=np.ones((20, 20), np.complex64))
    assert reference_metrics(rec, tiny) == {}


def test_summary(tmp_path):
    text = summary(tmp_path, {"r_factor": 0.25, "correlation": 0.5}, 1234.5, 60)
    assert "R-factor 0.2500" in text
    assert "correlation with objectGuess 0.5000" in text
    assert "60 patterns at 1230 per second" in text
