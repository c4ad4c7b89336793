import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ptycho_config.errors import InvalidValueError
from ptycho_physics import (
    departure_from_beam,
    disk_probe,
    expected_counts,
    input_scale,
    intensity_scale,
    photons_per_pattern,
    propagate,
)
from ptycho_physics.noise import beam_stop


@given(photons=st.floats(1, 1e12), N=st.sampled_from([64, 128, 256]))
def test_the_historical_scale_is_the_inverse_of_the_input_scale(photons, N):
    np.testing.assert_allclose(intensity_scale(photons, N) * input_scale(photons, N), 1)


def test_intensity_scale_is_the_historical_closed_form():
    assert intensity_scale(1e6, 64) == 1000 / 32


def test_photons_per_pattern_of_an_empty_object_are_those_it_was_lit_with(library):
    probe, vacuum = disk_probe(16), np.ones((3, 16, 16), dtype=np.complex64)
    counts = expected_counts(vacuum, probe, 1e4)
    np.testing.assert_allclose(
        photons_per_pattern(library.array(counts), library.array(probe)), 1e4, rtol=1e-6
    )


def test_what_a_beam_stop_hides_is_added(library):
    probe, vacuum, bad = disk_probe(16), np.ones((3, 16, 16), dtype=np.complex64), beam_stop(16, 3)
    counts = np.where(bad, np.nan, expected_counts(vacuum, probe, 1e4))
    arrays = (library.array(x) for x in (counts, probe, bad))
    np.testing.assert_allclose(photons_per_pattern(*arrays), 1e4, rtol=1e-6)


@pytest.mark.parametrize("photons", [0.0, -1.0, np.inf, np.nan])
def test_photons_that_are_none_are_refused(photons):
    with pytest.raises(InvalidValueError) as caught:
        input_scale(photons, 64)
    assert caught.value.name == "photons"
    with pytest.raises(InvalidValueError) as caught:
        intensity_scale(photons, 64)
    assert caught.value.name == "nphotons"


def test_dark_scans_are_refused():
    with pytest.raises(InvalidValueError) as caught:
        photons_per_pattern(np.zeros((2, 16, 16)), disk_probe(16))
    assert caught.value.name == "counts"


@pytest.fixture
def beam(complex_normal):
    """A probe of two modes, and the amplitude of its diffraction."""
    probe = complex_normal(2, 16, 16)
    return probe, np.sqrt((np.abs(propagate(probe)) ** 2).sum(axis=0))


def test_nothing_departs_behind_an_empty_or_evenly_absorbing_sample(library, beam):
    probe, empty = beam
    x = np.stack([empty, 0.3 * empty, 0 * empty])
    found = departure_from_beam(library.array(x), library.array(probe))
    np.testing.assert_allclose(library.numpy(found), 0, atol=1e-10)


def test_a_departure_is_what_is_left_of_a_pattern_at_rms_one(library, beam, rng):
    probe, empty = beam
    bad = rng.random((16, 16)) < 0.1
    rest = rng.normal(size=(5, 1, 16, 16)) * ~bad
    rest -= empty * (rest * empty).sum((-2, -1), keepdims=True) / (empty[~bad] ** 2).sum()
    rest *= ~bad
    x = np.where(bad, 1e3, 0.7 * empty + 100 * rest)
    found = departure_from_beam(*map(library.array, (x, probe, bad)))
    rms = np.sqrt((rest**2).mean(axis=(-2, -1), keepdims=True))
    np.testing.assert_allclose(library.numpy(found), rest / rms, rtol=1e-3, atol=1e-9)
    assert not library.numpy(found)[..., bad].any()
