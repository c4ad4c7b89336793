import json

import attrs
import numpy as np
import pytest
from ptycho_config.errors import InvalidValueError
from ptycho_core.analysis.evaluation import EVALUATION_FILES, evaluate, reference_metrics
from ptycho_core.solving.call import solve_scan
from ptycho_core.testing import simulated_scan
from ptycho_data import OutputExistsError, save_reconstruction, save_scan


@pytest.fixture(scope="module")
def scan():
    return simulated_scan(36)


@pytest.fixture(scope="module")
def rec(scan):
    return solve_scan(scan, epochs=4).reconstruction


def test_every_kind_of_reference_gives_the_same(scan, rec, tmp_path):
    save_scan(tmp_path / "scan.npz", scan)
    save_reconstruction(tmp_path / "reconstruction.npz", rec)
    expected = evaluate(rec, scan).metrics
    assert expected["correlation"] > 0.9
    for reference in (scan.object_guess, tmp_path / "scan.npz", str(tmp_path / "scan.npz")):
        assert evaluate(rec, reference).metrics == expected
    assert evaluate(tmp_path, scan).metrics == expected
    assert evaluate(rec, rec).metrics["correlation"] == pytest.approx(1)


def test_a_scan_without_an_object_is_no_reference(scan, rec):
    with pytest.raises(InvalidValueError):
        evaluate(rec, attrs.evolve(scan, object_guess=None))


def test_table_and_files(scan, rec, tmp_path):
    evaluation = evaluate(rec, scan, remove_ramp=True)
    assert "ramp removed" in evaluation.table()
    evaluation.save(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(EVALUATION_FILES)
    assert json.loads((tmp_path / "evaluation.json").read_text()) == evaluation.metrics
    with pytest.raises(OutputExistsError):
        evaluation.save(tmp_path)


def test_reference_metrics(scan, rec, caplog):
    assert reference_metrics(rec, scan) == evaluate(rec, scan).metrics
    assert reference_metrics(rec, attrs.evolve(scan, object_guess=None)) == {}
    # A reference outside the scanned area must not discard the reconstruction.
    tiny = attrs.evolve(scan, object_guess=np.ones((20, 20), np.complex64))
    with caplog.at_level("INFO"):
        assert reference_metrics(rec, tiny) == {}
    assert "no comparison" in caplog.text
