"""Processes that solve a scan together, as threads: the sums over them, and batches in pieces."""

import threading

import numpy as np
import pytest
from ptycho_config.errors import InvalidValueError
from ptycho_physics import (
    DivergenceError,
    Processes,
    Slices,
    defocused_probe,
    exposure_path,
    random_cells,
    simulate_counts,
    snake_scan,
    solve,
)
from ptycho_physics.solver._course import Course

N, NUMBER = 32, 3
PROBE = {"update_probe": True, "probe_start": 1}
SLICES = Slices(number=2, thickness=40.0, wavelength=0.01, pixel_size=1.0)
SWITCHES = {
    "plain": {},
    "mean": {"average": True},
    "modes": {**PROBE, "modes": 3},
    "momentum": {**PROBE, "momentum": 0.9},
    "support": {**PROBE, "probe_support": 9.0},
    "coarse detector": {**PROBE, "detector_sampling": 2, "held_out": 0.2},
    "light": {**PROBE, "refine_light": True, "background": "scaled"},
    "positions": {"refine_positions": True, "position_start": 1, "position_smoothness": 2.0},
    "together": {"refine_affine": True, "refine_backlash": True, "backlash_start": 1},
    "variation": {**PROBE, "probe_variation": 2, "variation_start": 2},
    "held out": {**PROBE, "refine_light": True, "held_out": 0.2},
    "saturation": {"saturation": 300.0, "offset": 0.1},
    "near field": {**PROBE, "near_field": 0.1},
    "slices": {
        **PROBE,
        "slices": Slices(number=2, thickness=40.0, wavelength=0.01, pixel_size=1.0),
        "slice_coupling": 0.5,
    },
}


class Table:
    """Where threads add up what each of them brings, in the order of their ranks."""

    def __init__(self, number):
        self.barrier = threading.Barrier(number, timeout=60)
        self.brought = [None] * number

    def seat(self, rank):
        def total(values):
            self.brought[rank] = values
            self.barrier.wait()
            found = sum(self.brought[1:], start=self.brought[0] + 0)
            self.barrier.wait()
            return found

        return Processes(rank, len(self.brought), total)


def together(counts, positions, probe, number=NUMBER, each=None, **options):
    """Solve in several threads, and return the solution of each."""
    table, found = Table(number), [None] * number

    def work(rank):
        mine = table.seat(rank)
        more = {} if each is None else each(rank)
        try:
            share = counts[mine.share(len(positions))]
            found[rank] = solve(share, positions, probe, processes=mine, **options, **more)
        except Exception as error:  # raised below, by the thread of the test
            found[rank] = error
            table.barrier.abort()

    threads = [threading.Thread(target=work, args=(rank,)) for rank in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    errors = [one for one in found if isinstance(one, Exception)]
    for error in sorted(errors, key=lambda one: isinstance(one, threading.BrokenBarrierError)):
        raise error
    return found


@pytest.fixture(scope="module")
def experiment():
    truth = random_cells((64, 68), radius=(4, 9), seed=3)
    positions = snake_scan(truth.shape, N, step=4.0, jitter=0.4, seed=1)
    probe = defocused_probe(N)
    return simulate_counts(truth, probe, positions, 1e5, seed=5), positions, probe


@pytest.fixture
def same_batches(monkeypatch):
    """Let a process alone have the batches that `NUMBER` processes have together."""
    drawn = Course._order

    def joint(self):
        measured = self.estimate.measured
        if not measured.processes.alone:
            return drawn(self)
        state = self.random.bit_generator.state
        orders = []
        for rank in range(NUMBER):
            self.random.bit_generator.state = state
            order = self.random.permutation(measured.used)
            batches = min(-(-len(order) // self.batch_size), np.bincount(order % NUMBER).min())
            orders.append(np.array_split(order[order % NUMBER == rank], batches))
        return [np.concatenate(parts) for parts in zip(*orders, strict=True)]

    monkeypatch.setattr(Course, "_order", joint)


@pytest.mark.parametrize("name", SWITCHES)
@pytest.mark.usefixtures("same_batches")
def test_several_processes_solve_as_one_does(experiment, name):
    options = {**SWITCHES[name], "epochs": 3, "batch_size": 12}
    alone = solve(*experiment, **options)
    found = together(*experiment, **options)
    for one in found:
        for part in ("object", "probe", "positions", "light", "background", "affine"):
            values = getattr(found[0], part)
            if values is not None:
                np.testing.assert_array_equal(getattr(one, part), values)
                bound = 2e-4 * np.abs(values).max()
                np.testing.assert_allclose(values, getattr(alone, part), atol=bound)
    np.testing.assert_allclose(found[0].r_factors, alone.r_factors, rtol=1e-4)
    if alone.held_out is not None:
        np.testing.assert_allclose(found[0].held_out.deviance, alone.held_out.deviance, rtol=1e-3)


@pytest.mark.usefixtures("same_batches")
def test_a_fly_scan_of_several_processes(experiment):
    counts, positions, probe = experiment
    options = {"exposure_path": exposure_path(positions), "epochs": 2, "batch_size": 12, **PROBE}
    found, alone = together(counts, positions, probe, **options), solve(*experiment, **options)
    np.testing.assert_allclose(found[1].object, alone.object, atol=1e-4)


@pytest.mark.parametrize("name", SWITCHES)
def test_a_batch_in_pieces_makes_the_same_step(experiment, name):
    options = {**SWITCHES[name], "epochs": 3}
    whole, pieces = solve(*experiment, **options), solve(*experiment, at_once=5, **options)
    np.testing.assert_allclose(pieces.object, whole.object, atol=2e-4)
    np.testing.assert_allclose(pieces.probe, whole.probe, atol=2e-4)
    np.testing.assert_allclose(pieces.r_factors, whole.r_factors, rtol=1e-4)


def test_any_process_ends_the_run_after_an_epoch(experiment):
    def each(rank):
        return {"between": lambda state: rank == 1 and len(state().r_factors) == 2}

    for solution in together(*experiment, epochs=5, each=each):
        assert solution.stopped == "caller"
        assert len(solution.r_factors) == 2


def test_the_state_of_one_process_is_that_of_all(experiment):
    options = {"epochs": 4, "refine_light": True, "batch_size": 12}
    saved = {}

    def each(rank):
        def keep(state):
            saved[rank, len(state().r_factors)] = state()
            return False

        return {"between": keep}

    through = together(*experiment, each=each, **options)
    resumed = together(*experiment, each=lambda _: {"state": saved[2, 2]}, **options)
    np.testing.assert_array_equal(resumed[0].object, through[0].object)
    np.testing.assert_array_equal(resumed[1].light, through[1].light)


def test_all_processes_diverge_together(experiment):
    counts, positions, probe = experiment
    counts = counts.copy()
    counts[1, 3, 3] = 1e30  # a pattern of the second process
    with pytest.raises(DivergenceError):
        together(counts, positions, probe, epochs=20, relaxation=1e-6)


def test_counts_stay_in_main_memory(experiment, torch):
    counts, positions, probe = experiment
    options = {**SWITCHES["held out"], "background": "constant", "epochs": 3}
    integers = counts.astype(np.uint16)
    here = solve(integers, positions, torch.asarray(probe), **options)
    there = solve(torch.asarray(counts), positions, torch.asarray(probe), **options)
    assert isinstance(here.object, torch.Tensor)
    np.testing.assert_allclose(here.object, there.object, atol=1e-5)


def test_integer_counts_are_those_of_floating_ones(experiment):
    counts, positions, probe = experiment
    integers = solve(counts.astype(np.uint16), positions, probe, epochs=2)
    np.testing.assert_array_equal(integers.object, solve(counts, positions, probe, epochs=2).object)


def test_wrong_shares_and_ranks_are_refused(experiment):
    counts, positions, probe = experiment
    with pytest.raises(InvalidValueError, match="the 36 patterns of this process"):
        solve(counts, positions, probe, processes=Processes(0, 2))
    with pytest.raises(InvalidValueError, match="from 0 to 1"):
        Processes(2, 2)
    with pytest.raises(InvalidValueError, match="at_once"):
        solve(counts, positions, probe, at_once=0)
