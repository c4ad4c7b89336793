"""Where the light falls: off the middle, on an even background, in the near field, or nowhere."""

import attrs
import numpy as np
import pytest
from ptycho_core.cautions import CHECKS, ScanFacts, positions
from ptycho_core.cautions._light_shape import bunching, movement, offset
from ptycho_core.testing import scan_on_raster, simulated_scan
from ptycho_data import Scan
from ptycho_physics import (
    defocused_probe,
    disk_probe,
    fermat_scan,
    random_cells,
    simulate_counts,
)
from ptycho_physics import fresnel_propagate as propagate

N = 64


@pytest.fixture(scope="module")
def right():
    return simulated_scan(80, shape=(130, 140))


def changed(scan, change, **more):
    """Return the scan with other patterns."""
    return attrs.evolve(scan, diffraction=change(scan.diffraction), known_totals=None, **more)


def found(scan):
    """What is measured where patterns are doubted; positions are not the subject here."""
    facts = ScanFacts(scan)
    own = [check for check in CHECKS if check.__module__ != positions.__name__]
    return {caution.code: caution.measured for check in own for caution in check(facts)}


@pytest.mark.parametrize("made", [False, True])
def test_a_right_scan_has_no_doubts(right, made):
    assert found(attrs.evolve(right, probe_made=made)) == {}


@pytest.mark.parametrize("made", [False, True])
@pytest.mark.parametrize(("x", "y"), [(3, -5), (-2, 2), (0, 4)])
def test_a_beam_off_the_middle(right, x, y, made):
    wrong = found(changed(right, lambda p: np.roll(p, (y, x), axis=(1, 2)), probe_made=made))
    assert list(wrong) == ["off-centre"]
    assert wrong["off-centre"]["x"] == pytest.approx(x, abs=0.5)
    assert wrong["off-centre"]["y"] == pytest.approx(y, abs=0.5)


@pytest.mark.parametrize("probe", [disk_probe(N), np.ones((1, N, N), np.complex64)])
def test_a_wrong_probe_hides_no_beam_off_the_middle(right, probe):
    assert "off-centre" not in found(attrs.evolve(right, probe=probe))
    wrong = found(changed(right, lambda p: np.roll(p, -3, axis=2), probe=probe))
    assert wrong["off-centre"]["x"] == pytest.approx(-3, abs=0.5)


def test_a_beam_off_the_middle_behind_a_beam_stop(right):
    y, x = np.mgrid[:N, :N] - N // 2
    stop = np.hypot(x, y) < 10
    assert found(attrs.evolve(right, bad_pixels=stop, known_totals=None)) == {}
    wrong = changed(right, lambda p: np.roll(p, 4, axis=2), bad_pixels=stop)
    assert found(wrong)["off-centre"]["x"] == 4


def test_an_asymmetric_probe_is_in_the_middle():
    """Half of its aperture is shut: the centre of mass is off, the empty beam is not."""
    probe = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(defocused_probe(N))))
    probe[..., : N // 2] = 0
    probe = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(probe))).astype(np.complex64)
    truth = random_cells((130, 140), seed=1)
    places = fermat_scan(truth.shape, N, number=80, seed=1)
    scan = Scan(
        diffraction=simulate_counts(truth, probe, places, 1e5, seed=1),
        xcoords=places[:, 0],
        ycoords=places[:, 1],
        probe=probe,
        domain="counts",
    )
    assert "off-centre" not in found(scan)
    assert offset(ScanFacts(scan).mean_pattern, np.ones((N, N), bool), None).x > 2


@pytest.mark.parametrize("level", [1.0, 3.0])
def test_an_even_background(right, level):
    rng = np.random.default_rng(0)
    wrong = found(changed(right, lambda p: p + rng.poisson(level, p.shape)))
    assert list(wrong) == ["background"]
    assert wrong["background"]["level"] == pytest.approx(level, rel=0.15)
    share = level * N * N / (1e5 + level * N * N)
    assert wrong["background"]["share"] == pytest.approx(share, rel=0.2)


def test_light_scattered_everywhere_is_no_background():
    rng = np.random.default_rng(3)
    truth = np.exp(1j * np.pi * rng.uniform(-1, 1, (130, 140))).astype(np.complex64)
    places = fermat_scan(truth.shape, N, number=80, jitter=0, seed=1)
    for probe in (defocused_probe(N), disk_probe(N, curvature=12.0)):
        scan = Scan(
            diffraction=simulate_counts(truth, probe, places, 1e5, seed=1),
            xcoords=places[:, 0],
            ycoords=places[:, 1],
            probe=probe,
            domain="counts",
        )
        assert found(scan) == {}
        assert found(attrs.evolve(scan, probe_made=True)) == {}


def test_noise_alone():
    noise = np.random.default_rng(0).poisson(5.0, (64, N, N)).astype(np.uint16)
    wrong = found(scan_on_raster(noise))
    assert list(wrong) == ["no-structure"]
    assert wrong["no-structure"]["share"] > 0.9


def near_field_scan(probe, distance, seed=0):
    """Simulate shadows of a sample in the near field, at detector pixels of the object's size."""
    truth = random_cells((3 * N, 3 * N), seed=seed)
    places = np.rint(fermat_scan(truth.shape, N, number=100, jitter=0, seed=seed))
    patterns = []
    for x, y in places.astype(int) - N // 2:
        field = propagate(
            probe * truth[y : y + N, x : x + N], distance, wavelength=1.0, pixel_size=1.0
        )
        patterns.append(np.abs(field[0]) ** 2)
    rates = np.array(patterns) * (1e6 / np.sum(patterns[0]))
    return Scan(
        diffraction=np.random.default_rng(seed).poisson(rates).astype(np.uint16),
        xcoords=places[:, 0],
        ycoords=places[:, 1],
        probe=probe.astype(np.complex64),
        domain="counts",
    )


@pytest.mark.parametrize("made", [False, True])
@pytest.mark.parametrize("distance", [2.0, 8.0])
def test_near_field_patterns(made, distance):
    plane = near_field_scan(np.ones((1, N, N), complex), distance)
    wrong = found(attrs.evolve(plane, probe_made=made))
    assert "near-field" in wrong
    assert wrong["near-field"]["magnification"] == pytest.approx(-1, abs=0.1)


def test_near_field_speckle():
    rng = np.random.default_rng(0)
    diffuser = np.exp(4j * rng.normal(size=(1, N, N)))
    speckle = propagate(diffuser, 20.0, wavelength=1.0, pixel_size=1.0)
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(N), np.fft.fftfreq(N)))
    coarse = np.fft.ifft2(np.fft.fft2(speckle) * (frequency < 0.15))
    assert "near-field" in found(near_field_scan(coarse, 2.0))


def test_movement_of_shifted_noise():
    rng = np.random.default_rng(0)
    first = rng.normal(size=(12, N, N))
    moved = rng.integers(3, 9, (12, 2)).astype(float)
    second = np.array(
        [
            np.roll(image, (-int(y), -int(x)), axis=(0, 1))
            for image, (x, y) in zip(first, moved, strict=True)
        ]
    )
    measured = movement(first, second, moved)
    assert measured.factor == pytest.approx(-1, abs=0.06)
    assert measured.correlation > 0.5
    assert measured.at_rest < 0.2
    assert movement(first, first, moved).at_rest > 0.99
    assert movement(first, rng.normal(size=first.shape), moved).significance < 6


def test_bunching():
    rng = np.random.default_rng(0)
    everywhere = np.ones((16, 16), bool)
    steady = rng.poisson(3.0, (400, 16, 16))
    speckle = rng.poisson(rng.exponential(3.0, (400, 16, 16)))
    assert bunching(steady, everywhere) == pytest.approx(1, abs=0.02)
    assert bunching(speckle, everywhere) == pytest.approx(2, abs=0.04)
