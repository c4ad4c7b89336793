import numpy as np
import pytest
from ptycho.loader import load
from ptycho.probe import set_probe_guess
from ptycho_config import InvalidValueError
from ptycho_data import ScanFormatError

N = 64


@pytest.fixture
def grouped(raw):
    return raw.generate_grouped_data(N, K=7, gridsize=2)


def test_container(raw, grouped):
    container = load(lambda: grouped, raw.probeGuess, which=None, create_split=False)
    assert container.X.shape == (36, N, N, 4)
    np.testing.assert_array_equal(container.local_offsets, grouped["coords_relative"])
    np.testing.assert_array_equal(container.global_offsets, grouped["coords_offsets"])


def test_the_input_times_a_scale(raw, grouped):
    X = load(lambda: grouped, raw.probeGuess).X
    scaled = np.float64(3.0) * (X * 2)
    assert scaled.factor == 6
    np.testing.assert_allclose(np.asarray(scaled), grouped["X_full"] * 6)
    assert np.asarray(X, dtype=np.float64).dtype == np.float64
    with pytest.raises(ValueError, match="cannot be returned without a copy"):
        np.asarray(X, copy=False)


def test_which_probe(raw, grouped):
    own, other = raw.probeGuess, np.full((2, N, N), 1j)
    assert np.array_equal(load(lambda: grouped).X.scan.probe, own)
    set_probe_guess(None, other)
    assert np.array_equal(load(lambda: grouped).X.scan.probe, other)
    assert np.array_equal(load(lambda: grouped, other[0] * 2).X.scan.probe, other[:1] * 2)


def test_a_probe_of_another_size(grouped):
    with pytest.raises(ScanFormatError) as caught:
        load(lambda: grouped, np.ones((32, 32), complex))
    assert [violation.key for violation in caught.value.violations] == ["probeGuess"]


def test_misuse(raw, grouped):
    with pytest.raises(InvalidValueError) as caught:
        load(lambda: grouped, raw.probeGuess, create_split=True)
    assert caught.value.name == "create_split"
    with pytest.raises(TypeError, match=r"generate_grouped_data.*got a dict"):
        load(lambda: dict(grouped), raw.probeGuess)
