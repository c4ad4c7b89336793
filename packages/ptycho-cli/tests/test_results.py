from ptycho_cli.results import summary


def test_summary(tmp_path):
    text = summary(tmp_path, {"r_factor": 0.25, "correlation": 0.5}, 1234.5, 60)
    assert "R-factor 0.2500" in text
    assert "correlation with objectGuess 0.5000" in text
    assert "60 patterns at 1230 per second" in text
