import numpy as np
import pytest
from ptycho_physics import (
    defocused_probe,
    disk_probe,
    few_photons,
    modulus_ratio,
    noise_probe_pace,
    noise_relaxation,
    normalise_probe,
    own_share,
    random_cells,
    simulate_counts,
    snake_scan,
    solve,
)
from ptycho_physics._low_counts import ENOUGH, LEAST_SHARE, lit_pixels
from scipy.stats import poisson


def test_infinite_light_replaces_the_modulus():
    rng = np.random.default_rng(0)
    power, amplitude = rng.uniform(0.5, 2, (2, 3, 8, 8))
    ratio = modulus_ratio(power, amplitude)
    np.testing.assert_allclose(ratio, amplitude / np.sqrt(power) - 1, atol=1e-5)


@pytest.mark.parametrize("photons", [10, 1e3, 1e6])
def test_what_explains_a_pattern_stays(photons):
    power = np.random.default_rng(0).uniform(0, 2, (8, 8)) / 64
    np.testing.assert_allclose(modulus_ratio(power, np.sqrt(power), photons), 0, atol=1e-5)


@pytest.mark.parametrize("photons", [10, 1e3, 1e6])
def test_an_evenly_dim_pattern_takes_the_whole_step(photons):
    power, more = np.full((8, 8), 1 / 64), 1e-3
    ratio = modulus_ratio(power, np.sqrt(power) * (1 + more), photons)
    np.testing.assert_allclose(ratio, more, rtol=1e-2)


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.25, 1, 4, 20, 400])
def test_noise_does_not_move_what_is_right(rate):
    counts = np.arange(1000.0)
    power, amplitude = np.full((1, 1000), rate), np.sqrt(counts)[None]  # in units of one photon
    chances = poisson.pmf(counts, rate)
    mean, naive = (modulus_ratio(power, amplitude, dose)[0] @ chances for dose in (1.0, np.inf))
    assert abs(mean) < 0.1
    if rate < 1:
        assert naive < -0.5


def test_dim_pixels_move_less_than_bright_ones():
    power = np.full((8, 8), 1e-3)
    power[0, 0] = 1.0
    ratio = modulus_ratio(power, 1.1 * np.sqrt(power), 100.0)
    assert 0 < ratio[1, 1] < 0.6 * ratio[0, 0]


def test_a_pattern_counts_half_for_itself_where_light_is_enough():
    probe = np.zeros((1, 32, 32), complex)
    probe[0, 8:24, 8:24] = 3.0
    assert own_share(ENOUGH * 16**2, probe) == pytest.approx(0.5, abs=LEAST_SHARE)
    assert own_share(1e9, probe) == pytest.approx(1, abs=1e-4)
    assert own_share(0.0, probe) == LEAST_SHARE


def test_the_share_does_not_depend_on_power_or_on_dark_surroundings():
    probe = disk_probe(32, 8.0)
    wide = np.pad(probe, [(0, 0), (16, 16), (16, 16)])
    assert own_share(1e3, 7 * wide) == pytest.approx(own_share(1e3, probe), rel=1e-6)


def test_few_photons_are_said_where_a_pattern_counts_less_than_half_for_itself():
    probe = disk_probe(64)
    enough = ENOUGH * float(lit_pixels(probe))
    assert own_share(enough, probe) == pytest.approx(0.5, abs=LEAST_SHARE)
    assert few_photons(enough * 1.01, probe) == ""
    assert few_photons(enough / 4, probe) == "few photons, 2.5 per lit pixel"


def test_few_photons_need_smaller_steps():
    probe = defocused_probe(64)
    relaxations = [noise_relaxation(photons, probe) for photons in (1.0, 1e3, 1e5, 1e9)]
    assert relaxations == sorted(relaxations, reverse=True)
    assert relaxations[0] == pytest.approx(0.5, abs=0.01)
    assert relaxations[-1] == pytest.approx(0.1, abs=0.01)


def test_a_probe_takes_small_steps_where_photons_are_few():
    probe = defocused_probe(64)
    paces = [noise_probe_pace(photons, probe) for photons in (1.0, 1e3, 1e5, 1e9)]
    assert paces == sorted(paces)
    assert paces[0] == pytest.approx(0.1, abs=0.01)
    assert paces[-1] == pytest.approx(1, abs=0.01)


def test_small_steps_keep_noise_out_of_a_refined_probe(monkeypatch):
    truth = random_cells((96, 100), radius=(4, 9), seed=3)
    positions = snake_scan(truth.shape, 32, step=4.0, jitter=0.4, seed=1)
    probe = normalise_probe(defocused_probe(32))
    counts = simulate_counts(truth, probe, positions, 300, seed=5)

    def error():
        found = solve(counts, positions, probe, epochs=20, update_probe=True).probe
        return 1 - abs(np.vdot(found, probe)) / np.linalg.norm(found) / np.linalg.norm(probe)

    small = error()
    monkeypatch.setattr("ptycho_physics.solver._run.noise_probe_pace", lambda *_: 1.0)
    assert small < 0.5 * error()
