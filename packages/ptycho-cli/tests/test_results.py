import pytest
from ptycho_cli.results import fail_if_above, resolution_summary, summary
from ptycho_core.exit_codes import BelowQualityError


@pytest.mark.parametrize("ratio", [2.1, float("nan"), None])
def test_what_fits_worse_or_is_unknown_is_below_quality(ratio):
    fail_if_above({"r_over_noise": 2.0}, 2.0)
    fail_if_above({"r_over_noise": ratio}, None)
    with pytest.raises(BelowQualityError):
        fail_if_above({"r_over_noise": ratio}, 2.0)


def test_summary(tmp_path):
    text = summary(tmp_path, {"r_factor": 0.25, "correlation": 0.5}, 1234.5, 60)
    assert "R-factor 0.2500" in text
    assert "correlation with objectGuess 0.5000" in text
    assert "60 patterns at 1230 per second" in text


def test_the_summary_states_the_verdict(tmp_path):
    known = {"r_factor": 0.25, "r_over_noise": 1.234}
    assert "0.2500 (1.23 times photon noise alone)" in summary(tmp_path, known, 10, 60)
    unknown = {"r_factor": 0.25, "r_over_noise": None}
    assert "0.2500 (photon scale unknown)" in summary(tmp_path, unknown, 10, 60)


def test_resolution_by_both_criteria():
    metrics = {
        "resolution_half": 2.5, "crossed_half": True,
        "resolution_half_bit": None, "crossed_half_bit": True,
    }  # fmt: skip
    assert resolution_summary(metrics) == (
        "half-scan FRC: resolution 2.50 pixels by 0.5, none by half-bit"
    )
    assert "not available" in resolution_summary(None)
