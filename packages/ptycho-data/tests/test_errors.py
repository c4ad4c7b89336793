import pickle

import pytest
from ptycho_data._violations import WHOLE_FILE, Findings, MissingScanError, ScanFormatError


@pytest.fixture
def findings():
    findings = Findings("scan.npz")
    findings.add("probeGuess", "nonzero somewhere", "zeros only", "save it again")
    findings.add("Y", "complex", "float64")
    return findings


def test_message_is_one_line_with_file_key_rule_and_value(findings):
    message = str(ScanFormatError(findings.violations))
    assert message == (
        "scan.npz: 2 violations of the scan contract: probeGuess must be nonzero somewhere, got "
        "zeros only; save it again; Y must be complex, got float64"
    )


def test_single_violation_is_not_counted(findings):
    message = str(ScanFormatError(findings.violations[1:]))
    assert message == "scan.npz: Y must be complex, got float64"


def test_a_violation_of_the_whole_file_names_the_file_alone():
    error = ScanFormatError.of("scan.npz", WHOLE_FILE, "an NPZ file", "an empty file")
    assert str(error) == "scan.npz must be an NPZ file, got an empty file"


def test_a_missing_file_is_one_for_python_too():
    error = MissingScanError.of("scan.npz", WHOLE_FILE, "an NPZ file", "no such file")
    assert isinstance(error, FileNotFoundError)
    assert isinstance(error, ValueError)
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 (our own bytes)
    assert (type(copy), str(copy)) == (MissingScanError, str(error))


def test_error_survives_pickling(findings):
    error = ScanFormatError(findings.violations)
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 (our own bytes)
    assert str(copy) == str(error)
    assert copy.violations == error.violations


def test_keys_lists_the_arrays_with_violations(findings):
    assert findings.keys() == {"probeGuess", "Y"}
