import attrs
import numpy as np
import pytest
from ptycho_config.errors import InvalidValueError
from ptycho_core.refinement import r_factor_at_best_scale, refine
from ptycho_core.simulation import simulate_scan
from ptycho_core.simulation_parts import SimulationParts
from ptycho_core.solving.call import solve_scan
from ptycho_physics import Canvas


@pytest.fixture(scope="module")
def scan():
    parts = SimulationParts().completed(
        object_source="random", object_size=104, N=64, n_patterns=60
    )
    return simulate_scan(parts, 1e6)


@pytest.fixture(scope="module")
def amplitude_scan(scan):
    """The scan as normalised amplitudes without a photon number."""
    amplitude = np.sqrt(scan.counts())
    return attrs.evolve(
        scan,
        diffraction=(amplitude / amplitude.max()).astype(np.float32),
        domain="amplitude",
        nphotons=None,
        known_totals=None,
    )


@pytest.fixture(scope="module")
def start(scan):
    """A reconstruction that has not converged."""
    return solve_scan(scan, epochs=2).reconstruction


def test_the_truth_fits_up_to_noise_at_any_scale(scan, start):
    r_factor, scale = r_factor_at_best_scale(start, scan.counts())
    brighter = attrs.evolve(start, object=3 * start.object)
    again, smaller = r_factor_at_best_scale(brighter, scan.counts())
    assert again == pytest.approx(r_factor, rel=1e-4)
    assert smaller == pytest.approx(scale / 3, rel=1e-4)


def test_the_solver_continues_where_the_reconstruction_ended(scan, start):
    counts = scan.counts()
    before, _ = r_factor_at_best_scale(start, counts)
    refined = refine(start, scan, epochs=3)
    assert refined.r_factor < before
    assert refined.r_factors[0] < before * 1.05  # no step back at the beginning
    assert refined.reconstruction.object.shape == start.object.shape
    np.testing.assert_array_equal(refined.reconstruction.probe, start.probe)


def test_scale_of_the_start_does_not_matter(scan, start):
    plain, brighter = (
        refine(attrs.evolve(start, object=factor * start.object), scan, epochs=1)
        for factor in (1, 5)
    )
    np.testing.assert_allclose(
        brighter.reconstruction.object, plain.reconstruction.object, atol=1e-3
    )


@pytest.mark.parametrize("side", ["right", "left"])
def test_positions_a_rounding_error_beyond_a_pixel(scan, side):
    x = scan.xcoords
    # On the way to canvas coordinates and back these lose the little that cost them a pixel.
    moved = x - x.max() + np.nextafter(60, 61) if side == "right" else x - x.min() - 1e-17
    scan = attrs.evolve(scan, xcoords=moved)
    start = solve_scan(scan, epochs=2).reconstruction
    again = start.positions + start.origin
    wide, narrow = (Canvas.covering(p, scan.N).shape for p in (scan.positions, again))
    assert wide == start.object.shape == (narrow[0], narrow[1] + 1)
    before, _ = r_factor_at_best_scale(start, scan.counts())
    refined = refine(start, scan, epochs=2)
    assert refined.r_factor < before
    np.testing.assert_allclose(
        refined.reconstruction.positions + refined.reconstruction.origin, again, atol=1e-9
    )


def test_an_object_on_a_wider_canvas_than_it_needs(scan, start):
    room = ((2, 1), (3, 4))
    wide = attrs.evolve(
        start,
        object=np.pad(start.object, room),
        coverage=np.pad(start.coverage, room),
        xcoords=start.xcoords + 3,
        ycoords=start.ycoords + 2,
        origin=start.origin - (3, 2),
    )
    found, expected = (refine(rec, scan, epochs=1).reconstruction for rec in (wide, start))
    np.testing.assert_allclose(found.object, expected.object, atol=1e-4)
    np.testing.assert_array_equal(found.origin, start.origin)


def test_dark_patterns_are_refused(scan, start):
    dark = attrs.evolve(scan, diffraction=np.zeros_like(scan.diffraction), known_totals=None)
    with pytest.raises(InvalidValueError):
        refine(start, dark, epochs=1)


def test_few_photons_are_reported_if_the_dose_is_known(scan, start, amplitude_scan):
    assert refine(start, scan, epochs=1).photon_warning == ""
    dim = attrs.evolve(scan, diffraction=np.random.default_rng(0).poisson(scan.counts() / 1000))
    assert refine(start, dim, epochs=1).photon_warning
    assert refine(start, amplitude_scan, epochs=1).photon_warning == ""


def test_positions_are_refined_on_request(scan, start):
    kept = refine(start, scan, epochs=4).reconstruction
    np.testing.assert_allclose(kept.positions + kept.origin, scan.positions, atol=1e-9)
    moved = refine(start, scan, epochs=4, refine_positions=True).reconstruction
    change = np.abs(moved.positions + moved.origin - scan.positions).max()
    assert 0 < change < 2
    assert r_factor_at_best_scale(moved, scan.counts())[0] < 0.3


def test_bad_pixels_and_amplitudes(scan, start, amplitude_scan):
    bad = np.zeros((64, 64), bool)
    bad[20:24] = True
    assert refine(start, attrs.evolve(scan, bad_pixels=bad), epochs=1).r_factor < 0.5
    refined = refine(start, amplitude_scan, epochs=1, nphotons=1e6)
    expected = refine(start, scan, epochs=1)
    assert refined.r_factor == pytest.approx(expected.r_factor, rel=1e-3)
