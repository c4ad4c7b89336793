import json

import attrs
import numpy as np
import pytest
from ptycho_config.errors import InvalidValueError
from ptycho_physics import (
    Canvas,
    State,
    defocused_probe,
    random_cells,
    simulate_counts,
    snake_scan,
    solve,
)

N = 32
EVERYTHING = {
    "update_probe": True,
    "probe_start": 1,
    "modes": 2,
    "refine_positions": True,
    "position_start": 2,
    "refine_light": True,
    "background": "scaled",
    "average": True,
    "offset": 0.5,
    "held_out": 0.1,
    "probe_variation": 2,
    "variation_start": 2,
    "refine_affine": True,
    "refine_backlash": True,
    "position_smoothness": 2.0,
    "probe_support": 14.0,
    "momentum": 0.5,
    "epochs": 4,
    "batch_size": 30,
}

COMPARED = ("object", "probe", "positions", "light", "background", "background_share", "affine")
COMPARED += ("backlash", "probe_variation", "variation_coefficients")


@pytest.fixture(scope="module")
def experiment():
    truth = random_cells((60, 64), radius=(4, 9), seed=3)
    positions = snake_scan(truth.shape, N, step=4.0, jitter=0.4, seed=1)
    probe = defocused_probe(N)
    return simulate_counts(truth, probe, positions, 1e6, seed=5), positions, probe


def start(positions):
    rng = np.random.default_rng(0)
    shape = Canvas.covering(positions, N).shape
    return np.exp(0.1j * rng.standard_normal(shape)).astype(np.complex64)


def stored(state):
    """A state as it comes back from a file: its generator from JSON."""
    return attrs.evolve(state, generator=json.loads(json.dumps(dict(state.generator))))


def test_a_run_goes_on_from_any_batch_with_the_same_bits(experiment):
    counts, positions, probe = experiment
    options = {**EVERYTHING, "initial": start(positions)}
    states = []

    def note(state):
        states.append(stored(state()))
        return False

    whole = solve(counts, positions, probe, between=note, **options)
    batches = -(-(len(counts) - len(whole.held_out.indices)) // 30)
    assert len(states) == 4 * batches - 1
    for state in states:
        again = solve(counts, positions, probe, state=state, **options)
        assert again.r_factors == whole.r_factors
        assert again.held_out.deviances == whole.held_out.deviances
        for name in COMPARED:
            np.testing.assert_array_equal(getattr(again, name), getattr(whole, name))


def test_the_caller_ends_a_run_and_may_ask_for_more_epochs_later(experiment):
    counts, positions, probe = experiment
    kept = []

    def stop(state):
        kept.append(state())
        return len(kept) == 3

    short = solve(counts, positions, probe, epochs=3, batch_size=30, between=stop)
    assert (short.stopped, short.r_factors) == ("caller", kept[-1].r_factors)
    longer = solve(counts, positions, probe, epochs=5, batch_size=30, state=kept[-1])
    whole = solve(counts, positions, probe, epochs=5, batch_size=30)
    assert (longer.stopped, longer.r_factors) == ("epochs", whole.r_factors)
    np.testing.assert_array_equal(longer.object, whole.object)


def test_the_probe_has_unit_power_wherever_a_run_ends(experiment):
    counts, positions, probe = experiment
    bent = probe * np.exp(2j * np.linspace(-1, 1, N) ** 2).astype(np.complex64)
    states = []
    solution = solve(
        counts,
        positions,
        bent,
        batch_size=30,
        update_probe=True,
        probe_start=0,
        between=lambda state: bool(states.append(state())) or True,
    )
    assert np.sum(np.abs(states[0].probe) ** 2) < 0.99  # a batch changes it
    assert np.sum(np.abs(solution.probe) ** 2) == pytest.approx(1, abs=1e-5)


def test_a_state_goes_on_with_another_library_up_to_rounding(experiment, torch):
    counts, positions, probe = experiment
    kept = []
    solve(
        counts,
        positions,
        probe,
        epochs=1,
        batch_size=30,
        between=lambda state: bool(kept.append(state())) or len(kept) == 2,
    )
    numpy = solve(counts, positions, probe, epochs=1, batch_size=30, state=kept[-1])
    tensors = torch.from_numpy(counts), positions, torch.from_numpy(probe)
    other = solve(*tensors, epochs=1, batch_size=30, state=kept[-1])
    assert other.r_factors == pytest.approx(numpy.r_factors, rel=1e-5)


def test_a_state_of_another_run_is_refused(experiment):
    counts, positions, probe = experiment
    kept = []
    solve(
        counts,
        positions,
        probe,
        epochs=1,
        batch_size=30,
        between=lambda state: bool(kept.append(state())) or True,
    )
    assert isinstance(kept[0], State)
    with pytest.raises(InvalidValueError, match="positions of shape"):
        solve(counts[:-1], positions[:-1], probe, state=kept[0])


def test_looking_at_a_run_changes_nothing_and_shows_where_it_is(experiment):
    counts, positions, probe = experiment
    seen = []

    def look(so_far):
        solution = so_far()
        seen.append((solution, solution.object.copy(), solution.positions.copy()))

    plain = solve(counts, positions, probe, **EVERYTHING)
    watched = solve(counts, positions, probe, look=look, **EVERYTHING)
    for name in ("object", "coverage", "probe", "positions"):
        np.testing.assert_array_equal(getattr(watched, name), getattr(plain, name))
    assert watched.r_factors == plain.r_factors
    for solution, object_, where in seen:
        np.testing.assert_array_equal(solution.object, object_)
        np.testing.assert_array_equal(solution.positions, where)
        assert solution.object.shape == solution.canvas.shape == solution.coverage.shape
        assert solution.stopped == ""
    known = [len(solution.r_factors) for solution, *_ in seen]
    assert known == sorted(known)
    assert seen[-1][0].r_factors == plain.r_factors[: known[-1]]


def test_a_known_coverage_is_not_summed_again(experiment):
    counts, positions, probe = experiment
    given = np.zeros(Canvas.covering(positions, N).shape, np.float32)
    found = []
    solve(
        counts,
        positions,
        probe,
        epochs=1,
        batch_size=30,
        look=lambda so_far: found.append(so_far(given).coverage),
    )
    assert found
    assert all(coverage is given for coverage in found)
