import pickle

from ptycho_config import ConfigError


def test_problems_are_kept_and_joined():
    error = ConfigError("a must be 1, got 2", "b must be 3, got 4")
    assert error.problems == ("a must be 1, got 2", "b must be 3, got 4")
    assert str(error) == "a must be 1, got 2; b must be 3, got 4"


def test_survives_pickling():
    error = pickle.loads(pickle.dumps(ConfigError("a", "b")))  # noqa: S301  # our own bytes
    assert error.problems == ("a", "b")
