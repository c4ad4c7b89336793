"""Which switches the data ask for."""

import json

import numpy as np
import pytest
from attrs import evolve
from ptycho_core.solving.call import solve_scan
from ptycho_core.solving.ladder import Rung, climb, held_out_share
from ptycho_core.testing import simulated_scan
from ptycho_data import Scan
from ptycho_physics import (
    DivergenceError,
    HeldOut,
    defocused_probe,
    random_cells,
    simulate_counts,
    snake_scan,
)

RUNGS = (
    Rung(name="probe", settings={"update_probe": True}),
    Rung(name="light", settings={"refine_light": True}),
    Rung(name="modes", settings={"modes": 3}, needs="probe"),
)


FASTER = Rung(name="momentum", settings={"momentum": 0.9}, above=3.0)


def climbed(deviances, given=(), noise=0.01, rungs=RUNGS, **options):
    """Climb with a solver whose deviance depends on the switches, and the epoch, as stated."""
    asked = []

    def solve(settings, epochs):
        names = tuple(rung.name for rung in rungs if set(rung.settings) <= set(settings))
        asked.append(names)
        value = deviances[names]
        if value is None:
            raise DivergenceError("too far")
        course = [value(k + 1) if callable(value) else value for k in range(epochs)]
        values = course[-1] + noise * np.random.default_rng(len(asked)).standard_normal(40)
        return HeldOut(
            indices=np.arange(40),
            deviance=values,
            deviances=course,
            r_factors=[0.1] * epochs,
            best=epochs,
        )

    return climb(solve, dict(given), rungs=rungs, **options), asked


def test_a_switch_that_helps_is_on_and_others_are_not():
    ladder, _ = climbed(
        {(): 2.0, ("probe",): 1.2, ("probe", "light"): 1.2, ("probe", "modes"): 1.2}
    )
    assert ladder.switches == ("probe",)
    assert ladder.settings == {"update_probe": True}
    assert [trial.kept for trial in ladder.trials] == [True, True, False, False]
    assert ladder.verdict() == "40 held-out patterns ask for: probe"


def test_a_gain_within_its_noise_is_none():
    ladder, _ = climbed(
        {(): 2.0, ("probe",): 1.9, ("light",): 1.9, ("probe", "modes"): 1.9}, noise=1.0
    )
    assert ladder.switches == ()


def test_what_another_switch_made_needless_goes():
    deviances = {
        (): 3.0,
        ("probe",): 2.0,
        ("probe", "light"): 1.0,
        ("probe", "light", "modes"): 1.0,
    }
    ladder, asked = climbed({**deviances, ("light",): 1.0})
    assert ladder.switches == ("light",)
    assert asked[-1] == ("light",)


def test_a_switch_brings_along_what_it_needs():
    """A probe that drifts is of no use to be refined alone."""
    ladder, asked = climbed({(): 2.0, ("probe",): 2.0, ("light",): 2.0, ("probe", "modes"): 1.0})
    assert asked == [(), ("probe",), ("light",), ("probe", "modes")]
    assert ladder.switches == ("probe", "modes")
    assert ladder.settings == {"update_probe": True, "modes": 3}
    assert ladder.trials[-1].tried == "modes"


def test_a_run_that_is_stuck_gets_momentum():
    ladder, _ = climbed({(): 50.0, ("momentum",): lambda epoch: 1 + 100 / epoch}, rungs=(FASTER,))
    assert ladder.settings == {"momentum": 0.9}
    assert ladder.trials[-1].epochs == 15


def test_a_run_that_is_explained_gets_none():
    ladder, asked = climbed({(): 2.9}, rungs=(FASTER,))
    assert ladder.switches == ()
    assert asked == [()]


def test_momentum_may_take_longer_to_be_ahead():
    deviances = {(): 20.0, ("momentum",): lambda epoch: 1 + 600 / epoch}
    ladder, _ = climbed(deviances, rungs=(FASTER,))
    assert ladder.switches == ("momentum",)
    assert [trial.epochs for trial in ladder.trials] == [15, 60]


@pytest.mark.parametrize("end", [2.0, 4.0])
def test_momentum_that_is_never_ahead_is_off(end):
    """Whether the run without gets there by itself, or both stay where they are."""
    deviances = {(): lambda epoch: end + 100 / epoch, ("momentum",): lambda epoch: 5 + 100 / epoch}
    ladder, _ = climbed(deviances, rungs=(FASTER,))
    assert ladder.switches == ()
    assert not ladder.trials[-1].kept


def test_what_diverges_is_off():
    ladder, _ = climbed(
        {(): 2.0, ("probe",): None, ("light",): 1.0, ("probe", "light", "modes"): None}
    )
    assert ladder.switches == ("light",)
    assert ladder.trials[1].describe() == "probe: the solver diverges, off"


def test_a_switch_without_which_the_solver_diverges_stays():
    deviances = {(): 3.0, ("probe",): 2.0, ("probe", "light"): 1.0, ("light",): None}
    ladder, _ = climbed({**deviances, ("probe", "light", "modes"): 1.0})
    assert ladder.switches == ("probe", "light")
    assert ladder.trials[-1].describe() == "without probe: the solver diverges, on"


def test_what_makes_the_solver_faster_alone_is_off():
    ladder, asked = climbed(
        {
            (): lambda epoch: 1 + 10 / epoch,
            ("probe",): lambda epoch: 1.05 + 6 / epoch,
            ("light",): lambda epoch: 1 + 9.9 / epoch,
            ("probe", "modes"): lambda epoch: 1 + 9.9 / epoch,
        }
    )
    assert ladder.switches == ()
    assert [trial.epochs for trial in ladder.trials] == [15, 120, 15, 15]
    assert asked.count(()) == 4  # of 15, 30, 60 and 120 epochs, each once


def test_a_gain_is_told_from_speed_by_more_epochs():
    ladder, _ = climbed(
        {
            (): lambda epoch: 2 + 20 / epoch,
            ("probe",): lambda epoch: 1 + 20 / epoch,
            ("probe", "light"): lambda epoch: 1 + 20 / epoch,
            ("probe", "modes"): lambda epoch: 1 + 20 / epoch,
        }
    )
    assert ladder.switches == ("probe",)
    assert [trial.epochs for trial in ladder.trials] == [15, 30, 15, 15]


def test_a_gain_that_more_epochs_may_still_explain_in_the_end_is_none():
    falling = {(): lambda epoch: 100 / epoch**0.1, ("probe",): lambda epoch: 99 / epoch**0.1}
    same = dict.fromkeys([("light",), ("probe", "modes")], lambda epoch: 100 / epoch**0.1)
    ladder, _ = climbed({**falling, **same})
    assert ladder.switches == ()


def test_what_was_given_stays_on_and_is_not_tried():
    ladder, asked = climbed({(): 2.0, ("light",): 1.0}, given={"update_probe": True, "modes": 3})
    assert asked == [(), ("light",)]
    assert ladder.switches == ("probe", "modes", "light")
    assert ladder.settings == {"refine_light": True}


def test_without_time_nothing_more_is_tried():
    ladder, asked = climbed({(): 2.0}, overdue=lambda: True)
    assert asked == [()]
    assert not ladder.complete


def test_the_share_depends_on_the_number_of_patterns():
    assert held_out_share(20) == 0.2
    assert held_out_share(320) == pytest.approx(0.1)
    assert held_out_share(100_000) == 0.05


@pytest.fixture(scope="module")
def scan():
    return simulated_scan(60)


def test_clean_data_ask_for_nothing(scan):
    result = solve_scan(scan, auto=True, epochs=10)
    assert result.metrics["auto"]["switches"] == []


def test_clean_data_of_many_photons_ask_for_nothing():
    truth, probe = random_cells((80, 84), radius=(4, 9), seed=2), defocused_probe(32)
    positions = snake_scan(truth.shape, 32, step=4.0, jitter=0.4, seed=2)
    scan = Scan(
        diffraction=simulate_counts(truth, probe, positions, 1e6, seed=2),
        domain="counts",
        xcoords=positions[:, 0],
        ycoords=positions[:, 1],
        probe=probe,
    )
    found = solve_scan(scan, auto=True, epochs=15).metrics["auto"]
    assert found["switches"] == []
    probe_trial = next(trial for trial in found["trials"] if trial["tried"] == "probe")
    assert probe_trial["epochs"] > 15  # it only makes the solver faster


def test_a_beam_that_flickers_asks_for_light_and_gets_it(scan, tmp_path):
    light = np.random.default_rng(0).uniform(0.6, 1.4, scan.n)
    counts = np.random.default_rng(1).poisson(light[:, None, None] * scan.counts())
    uneven = evolve(scan, diffraction=counts.astype(np.float32), domain="counts")
    result = solve_scan(uneven, auto=True, epochs=10, output=tmp_path / "r", pictures=False)
    run = json.loads((tmp_path / "r" / "run.json").read_text())
    assert result.metrics["auto"]["switches"] == ["light"]
    assert run["configuration"]["refine_light"]
    np.testing.assert_allclose(result.fitted.light, light / light.mean(), atol=0.1)
