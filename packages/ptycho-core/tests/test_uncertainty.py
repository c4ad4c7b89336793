import json
import logging

import numpy as np
import pytest
from attrs import evolve
from ptycho_core import solve_scan
from ptycho_core.analysis.verdict import model_rates
from ptycho_core.fitted import Fitted
from ptycho_core.testing import reconstruction_at, simulated_scan
from ptycho_core.uncertainty.alignment import between_centres, laid_over
from ptycho_core.uncertainty.calibration import calibrate
from ptycho_core.uncertainty.estimate import describe_uncertainty, estimate_uncertainty
from ptycho_core.uncertainty.halves import spread_of_halves
from ptycho_core.uncertainty.repetition import simulate_again
from ptycho_data import Scan, load_reconstruction
from ptycho_physics.metrics import shift_image
from scipy.ndimage import gaussian_filter

SIDE, N = 112, 32
PLACES = np.stack(np.meshgrid(*2 * [np.linspace(20, 92, 10)]), axis=-1).reshape(-1, 2)


def texture(seed=0):
    rng = np.random.default_rng(seed)
    smooth = gaussian_filter(rng.normal(size=(2, SIDE, SIDE)), (0, 3, 3))
    amplitude, phase = smooth / smooth.std(axis=(1, 2), keepdims=True)
    return (1 + 0.1 * amplitude) * np.exp(0.3j * phase)


OBJECT = texture()
WHOLE = reconstruction_at(OBJECT, PLACES)


def scan_of(photons=1e5, **more):
    rec = reconstruction_at(OBJECT, PLACES)
    rates = model_rates(rec, np.arange(len(PLACES))).astype(np.float64)
    counts = np.random.default_rng(1).poisson(rates * photons / rates.sum(axis=(1, 2)).mean())
    return Scan(
        diffraction=counts.astype(np.float32),
        xcoords=PLACES[:, 0],
        ycoords=PLACES[:, 1],
        probe=rec.probe,
        domain="counts",
        **more,
    )


class Noisy:
    """A method whose error has a variance of ``variance / patterns`` in each part of each pixel."""

    def __init__(self, variance, whole_too_noisy=1.0):
        self.rng = np.random.default_rng(2)
        self.variance, self.factor = variance, whole_too_noisy
        self.calls = []

    def __call__(self, scan, rows):
        assert len(rows) == scan.n
        self.calls.append(scan.n)
        spread = np.sqrt(self.variance / scan.n)
        if scan.n == len(PLACES):
            spread *= self.factor
        noise = self.rng.normal(size=(2, *OBJECT.shape))
        values = OBJECT + spread * (noise[0] + 1j * noise[1])
        # what ptychography leaves open differs from run to run
        y, x = np.mgrid[:SIDE, :SIDE]
        values = values * (1.1 + 0.2j) * np.exp(1j * self.rng.normal() * (0.01 * x - 0.02 * y))
        return reconstruction_at(values, scan.positions)


def test_shift_ramp_and_factor_are_removed():
    y, x = np.mgrid[:SIDE, :SIDE]
    moved = shift_image(OBJECT, (1.25, -0.5)) * 0.7j * np.exp(0.03j * x - 0.01j * y)
    part = evolve(reconstruction_at(moved[8:100, 5:], PLACES), origin=np.array([5, 8]))
    part = evolve(part, xcoords=part.xcoords - 5, ycoords=part.ycoords - 8)
    laid = laid_over(part, WHOLE)
    box = between_centres(WHOLE)
    assert box == (slice(20, 93), slice(20, 93))
    assert np.abs(laid.values - OBJECT)[box].max() < 0.05
    expected = np.zeros(OBJECT.shape, bool)
    expected[8:100, 5:] = True
    np.testing.assert_array_equal(laid.covered, expected)


def test_the_halves_tell_the_error_of_the_whole():
    """That of averaging methods: noise of variance v / n, whatever the gauge of each half."""
    spread = spread_of_halves(WHOLE, scan_of(), Noisy(variance=0.25), (None, 1, 2))
    expected, box = np.sqrt(0.25 / len(PLACES)), between_centres(WHOLE)
    assert spread.patterns == (50, 50)
    for found in (spread.amplitude, spread.phase * np.abs(OBJECT)):
        assert np.median(found[box]) == pytest.approx(expected, rel=0.03)
        assert np.std(found[box]) < 0.15 * expected


def test_pixels_that_a_half_lacks_have_no_error():
    make = Noisy(variance=0.25)

    def half(scan, rows):
        rec = make(scan, rows)
        coverage = np.array(rec.coverage)
        coverage[:30] = 0
        return evolve(rec, coverage=coverage)

    spread = spread_of_halves(WHOLE, scan_of(), half, (None,))
    assert np.isnan(spread.phase[:30]).all()
    assert np.isfinite(spread.phase[30:]).all()


def test_noise_that_the_halves_hide_is_found_by_the_repetition():
    for factor in (1.0, 3.0):
        make = Noisy(variance=0.1, whole_too_noisy=factor)
        found = calibrate(WHOLE, scan_of(), make)
        assert make.calls == [100, 50, 50]
        for usual, most in (found.amplitude, found.phase):
            assert usual == pytest.approx(factor, rel=0.08)
            assert most == pytest.approx(2 * factor, rel=0.08)


def test_a_repetition_has_the_rates_of_the_result_and_the_detector_of_the_scan():
    bad = np.zeros((N, N), bool)
    bad[3, 4] = True
    scan = scan_of(bad_pixels=bad)
    again = simulate_again(WHOLE, scan, seed=5)
    assert again.counts().sum() == pytest.approx(scan.counts().sum(), rel=1e-3)
    assert not again.counts()[:, 3, 4].any()
    assert not np.array_equal(again.counts(), scan.counts())
    np.testing.assert_array_equal(again.counts(), simulate_again(WHOLE, scan, seed=5).counts())
    # what was subtracted left its noise: pixels without light scatter by its root
    dark = scan_of(background=np.full((N, N), 9.0, np.float32))
    values = simulate_again(WHOLE, dark).counts()
    rates = model_rates(WHOLE, np.arange(100)).astype(np.float64)
    faint = rates * dark.counts().sum() / rates.sum() < 0.01
    expected = np.maximum(np.random.default_rng(0).poisson(9, 100_000) - 9, 0)
    assert faint.sum() > 1000
    assert values[faint].mean() == pytest.approx(expected.mean(), rel=0.1)


def test_what_was_fitted_to_each_pattern_is_true_in_the_repetition():
    light = np.linspace(0.5, 1.5, len(PLACES))
    fitted = Fitted(light=light, background=np.full((N, N), 30.0))
    bright = simulate_again(WHOLE, scan_of(1e6), fitted=fitted).counts().sum(axis=(1, 2))
    plain = simulate_again(WHOLE, scan_of(1e6)).counts().sum(axis=(1, 2))
    assert bright.mean() == pytest.approx(1e6, rel=1e-2)  # with the background
    relative = (bright - 30.0 * N * N) / plain
    np.testing.assert_allclose(relative / relative.mean(), light, rtol=0.02)


def test_amplitudes_without_a_scale_are_told_by_halves_alone():
    amplitudes = evolve(scan_of(), diffraction=np.sqrt(scan_of().counts()) / 400)
    amplitudes = evolve(amplitudes, domain="amplitude")
    assert simulate_again(WHOLE, amplitudes) is None
    make = Noisy(variance=0.1)
    found = estimate_uncertainty(WHOLE, amplitudes, make, splits=1)
    assert make.calls == [50, 50]
    assert found.metrics["calibrated"] is False
    assert "promise too much" in describe_uncertainty(found.metrics)
    assert simulate_again(WHOLE, amplitudes, nphotons=1e4).counts().sum(axis=(1, 2)).mean() == (
        pytest.approx(1e4, rel=1e-2)
    )


@pytest.fixture(scope="module")
def scan():
    return simulated_scan(40, shape=(104, 104))


def test_the_true_error_of_the_solver_is_within(scan, tmp_path):
    result = solve_scan(scan, epochs=10, uncertainty=True, output=tmp_path, progress=False)
    told = json.loads((tmp_path / "metrics.json").read_text())["uncertainty"]
    assert told["calibrated"]
    assert told["patterns"] == [20, 20]
    assert (tmp_path / "uncertainty.png").stat().st_size > 5000
    rec = load_reconstruction(tmp_path)
    np.testing.assert_array_equal(rec.phase_error, result.reconstruction.phase_error)
    truth = evolve(
        rec,
        object=scan.object_guess,
        coverage=np.ones(scan.object_guess.shape),
        xcoords=scan.xcoords,
        ycoords=scan.ycoords,
        origin=np.zeros(2, int),
        amplitude_error=None,
        phase_error=None,
    )
    true, box = laid_over(truth, rec), between_centres(rec)
    ratio = np.abs(np.angle(rec.object * np.conj(true.values)))[box] / rec.phase_error[box]
    assert 0.5 < np.mean(ratio < 1) < 0.85
    assert np.mean(ratio < told["phase_times_95"]) > 0.85
    # halves alone promise too much
    assert told["phase_over_halves"] > 1.2
    assert np.mean(ratio * told["phase_over_halves"] < 1) < np.mean(ratio < 1) - 0.1


def test_a_result_is_kept_whose_uncertainty_is_not_possible(scan, caplog):
    with caplog.at_level(logging.WARNING):
        result = solve_scan(scan.select([3]), epochs=1, uncertainty=True)
    assert result.metrics["uncertainty"] is None
    assert result.reconstruction.phase_error is None
    assert "no uncertainty: " in caplog.text
