import pickle

import pytest
from ptycho_data._contract import Findings, ScanFormatError


@pytest.fixture
def findings():
    findings = Findings("scan.npz")
    findings.add("probeGuess", "zeros only", "a probe with power")
    findings.add("Y", "float64", "complex")
    return findings


def test_message_is_one_line_with_file_key_found_and_expected(findings):
    message = str(ScanFormatError(findings.violations))
    assert message == (
        "scan.npz: 2 violations of the scan contract: probeGuess: found zeros only, expected a "
        "probe with power; Y: found float64, expected complex"
    )


def test_single_violation_is_not_counted(findings):
    message = str(ScanFormatError(findings.violations[1:]))
    assert message == "scan.npz: Y: found float64, expected complex"


def test_error_survives_pickling(findings):
    error = ScanFormatError(findings.violations)
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 (our own bytes)
    assert str(copy) == str(error)
    assert copy.violations == error.violations


def test_keys_names_what_was_found_wrong(findings):
    assert findings.keys() == {"probeGuess", "Y"}
