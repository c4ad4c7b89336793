"""Momentum of the solver: what it is for, and that it is the same in every library."""

import numpy as np
import pytest
from ptycho_config.errors import InvalidValueError
from ptycho_physics import (
    compare,
    defocused_probe,
    fermat_scan,
    random_cells,
    simulate_counts,
    solve,
)
from ptycho_physics._shapes import blur

N, SHAPE = 32, (84, 88)


def strong_phase(seed):
    """Return an object with a phase of 4 rad rms, steep enough that it wraps everywhere."""
    phase = blur(np.random.default_rng(seed).normal(size=SHAPE), 4.0)
    return np.exp(4j * phase / phase.std()).astype(np.complex64)


def scan(truth, probe, *, photons=1e6, seed=0):
    positions = fermat_scan(SHAPE, N, number=150, jitter=0.3, seed=seed)
    return simulate_counts(truth, probe, positions, photons, seed=seed), positions, probe


def quality(solution, truth, positions):
    """Correlation with the truth over the scanned rectangle."""
    low, high = np.ceil(positions.min(axis=0)), np.floor(positions.max(axis=0)) + 1
    (x1, y1), (x2, y2), (x0, y0) = low.astype(int), high.astype(int), solution.canvas.origin
    found = solution.object[y1 - y0 : y2 - y0, x1 - x0 : x2 - x0]
    return compare(found, truth[y1:y2, x1:x2], remove_ramp=True).correlation


def test_leads_out_of_where_a_strong_phase_stops_the_solver():
    # a bright field of a third of the detector, as of electrons
    truth, probe = strong_phase(2), defocused_probe(N, 16.0, aperture=0.33, central_stop=0.0)
    arrays = scan(truth, probe, seed=2)
    plain, quick = (
        quality(solve(*arrays, epochs=30, momentum=share), truth, arrays[1]) for share in (0, 0.9)
    )
    assert plain < 0.9
    assert quick > 0.999


def test_takes_fewer_epochs_also_where_the_probe_is_refined():
    truth, probe = random_cells(SHAPE, radius=(4, 9), seed=3), defocused_probe(N)
    counts, positions, _ = scan(truth, probe)
    wrong = defocused_probe(N, 12.0)
    options = {"epochs": 6, "update_probe": True}
    plain, quick = (
        quality(solve(counts, positions, wrong, momentum=share, **options), truth, positions)
        for share in (0, 0.9)
    )
    assert 1 - quick < 0.5 * (1 - plain)


def test_does_no_harm_where_photons_are_few():
    truth, probe = random_cells(SHAPE, radius=(4, 9), seed=3), defocused_probe(N)
    arrays = scan(truth, probe, photons=1e3)
    plain, quick = (
        quality(solve(*arrays, epochs=20, momentum=share), truth, arrays[1]) for share in (0, 0.9)
    )
    assert 1 - quick < 1.02 * (1 - plain)


def test_libraries_agree(library):
    truth, probe = random_cells(SHAPE, radius=(4, 9), seed=3), defocused_probe(N)
    counts, positions, _ = scan(truth, probe)
    options = {"epochs": 4, "momentum": 0.9, "update_probe": True, "modes": 2}
    numpy = solve(counts, positions, probe, **options)
    other = solve(library.array(counts), positions, library.array(probe), **options)
    assert other.r_factors == pytest.approx(numpy.r_factors, rel=1e-4)


@pytest.mark.parametrize("value", [-0.1, 1.0, float("nan")])
def test_refuses_what_is_no_share(value):
    truth, probe = random_cells(SHAPE, radius=(4, 9), seed=3), defocused_probe(N)
    with pytest.raises(InvalidValueError) as caught:
        solve(*scan(truth, probe), momentum=value)
    assert caught.value.name == "momentum"


def test_a_state_without_it_is_refused():
    truth, probe = random_cells(SHAPE, radius=(4, 9), seed=3), defocused_probe(N)
    arrays, kept = scan(truth, probe), []
    solve(*arrays, epochs=1, between=lambda state: bool(kept.append(state())) or True)
    with pytest.raises(InvalidValueError, match="momentum"):
        solve(*arrays, momentum=0.9, state=kept[0])
    quick = []
    options = {"epochs": 1, "between": lambda state: bool(quick.append(state())) or True}
    solve(*arrays, momentum=0.9, **options)
    with pytest.raises(InvalidValueError, match="canvas_before"):
        solve(*arrays, state=quick[0])
