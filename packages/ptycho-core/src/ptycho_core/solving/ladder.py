"""Which switches of the solver the data ask for, decided by patterns that are not used.

Short runs from the same start, each with one switch more, predict the same held-out patterns. A
switch stays if their deviance falls by more than its noise over the patterns, and by more than a
small part of itself, which is how far two runs differ that differ in nothing of importance. After
the last rung each switch is tried without once more: what another one has made needless goes.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from attrs import field, frozen
from ptycho_physics import DivergenceError, HeldOut

__all__ = ["RUNGS", "Ladder", "Rung", "Trial", "climb", "held_out_share"]

#: Patterns that are held out at least, if they are not more than `LARGEST_SHARE`.
PATTERNS = 32
SHARE, LARGEST_SHARE = 0.05, 0.2
#: Epochs of a trial.
EPOCHS = 15
#: A gain of more standard errors, and of a larger part of the deviance, is one.
ERRORS, PART = 3.0, 0.01


@frozen(kw_only=True)
class Rung:
    """A switch: its name, the settings of the solver, and the name of one that it needs."""

    name: str
    settings: Mapping[str, Any]
    needs: str = ""


#: In order of cost.
RUNGS = (
    Rung(name="probe", settings={"update_probe": True}),
    Rung(name="light", settings={"refine_light": True}),
    Rung(name="background", settings={"background": "constant"}),
    Rung(name="affine", settings={"refine_affine": True}),
    Rung(name="positions", settings={"refine_positions": True}),
    Rung(name="modes", settings={"modes": 3}, needs="probe"),
    Rung(name="variation", settings={"probe_variation": 2}, needs="probe"),
)


@frozen(kw_only=True)
class Trial:
    """A run on the ladder.

    Attributes
    ----------
    switches : tuple of str
        What was on.
    tried : str
        The switch that was added, or taken away; empty for the first run.
    deviance : float or None
        Mean over the held-out patterns; None if the solver diverged.
    gain, noise : float
        How much the switch lowers it, and the standard error of that.
    kept : bool
        Whether the switch is on from here.
    """

    switches: tuple[str, ...]
    tried: str = ""
    deviance: float | None
    gain: float = 0.0
    noise: float = 0.0
    kept: bool = True

    def describe(self) -> str:
        """Return the line of the ladder."""
        if self.deviance is None:
            return f"{self.tried}: the solver diverges, off"
        if not self.tried:
            return f"nothing more: deviance {self.deviance:.4f}"
        change = f"{self.gain:+.4f} +- {self.noise:.4f}"
        verdict = "on" if self.kept else "off"
        if self.tried not in self.switches:
            return f"without {self.tried}: deviance {self.deviance:.4f}, gain {change}, {verdict}"
        return f"{self.tried}: deviance {self.deviance:.4f}, gain {change}, {verdict}"


@frozen(kw_only=True)
class Ladder:
    """The trials, and what came of them.

    Attributes
    ----------
    patterns : int
        Held-out patterns.
    trials : list of Trial
    switches : tuple of str
        Names of the switches that are on in the end, in the order of `RUNGS`.
    complete : bool
        False if there was no time for all trials.
    """

    patterns: int
    trials: list[Trial]
    switches: tuple[str, ...]
    complete: bool = True
    settings: Mapping[str, Any] = field(factory=dict, repr=False)

    def verdict(self) -> str:
        """Return the result in words."""
        found = ", ".join(self.switches) if self.switches else "nothing more"
        rest = "" if self.complete else "; there was no time to try more"
        return f"{self.patterns} held-out patterns ask for: {found}{rest}"

    def record(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "patterns": self.patterns,
            "switches": list(self.switches),
            "complete": self.complete,
            "trials": [
                {
                    "switches": list(trial.switches),
                    "tried": trial.tried,
                    "deviance": trial.deviance,
                    "gain": trial.gain,
                    "noise": trial.noise,
                    "kept": trial.kept,
                }
                for trial in self.trials
            ],
        }


def held_out_share(patterns: int) -> float:
    """Return the share of a scan's patterns to hold out in trials."""
    return min(LARGEST_SHARE, max(SHARE, PATTERNS / patterns))


def climb(
    solve: Callable[[Mapping[str, Any]], HeldOut],
    given: Mapping[str, Any],
    *,
    rungs: tuple[Rung, ...] = RUNGS,
    tell: Callable[[Trial], None] = lambda _: None,
    overdue: Callable[[], bool] = lambda: False,
) -> Ladder:
    """Try one switch after the other.

    Parameters
    ----------
    solve
        Solves with the given settings in addition, and returns the prediction of the same held-out
        patterns in each call; may raise `DivergenceError`.
    given
        Settings that the user made: what they switch on stays on and is not tried.
    rungs
        The switches.
    tell
        Called with every trial.
    overdue
        Whether to try no more.

    Raises
    ------
    DivergenceError
        If the solver diverges without any switch.
    """
    names = {rung.name for rung in rungs}
    on = tuple(rung.name for rung in rungs if all(given.get(k) for k in rung.settings))
    fixed, trials = set(on), []

    def settings_of(switches: tuple[str, ...]) -> dict[str, Any]:
        chosen: dict[str, Any] = {}
        for rung in rungs:
            if rung.name in switches and rung.name not in fixed:
                chosen |= rung.settings
        return chosen

    def note(trial: Trial) -> None:
        trials.append(trial)
        tell(trial)

    best = solve({})
    note(Trial(switches=on, deviance=_mean(best)))
    complete = True
    for rung in rungs:
        if rung.name in on or (rung.needs in names and rung.needs not in on):
            continue
        if overdue():
            complete = False
            break
        more = (*on, rung.name)
        try:
            found = solve(settings_of(more))
        except DivergenceError:
            note(Trial(switches=more, tried=rung.name, deviance=None, kept=False))
            continue
        note(judged(more, rung.name, found, without=best, having=found))
        if trials[-1].kept:
            on, best = more, found
    for name in on[:-1]:
        needed = any(rung.needs == name and rung.name in on for rung in rungs)
        if name in fixed or needed or name not in on:
            continue
        if overdue():
            complete = False
            break
        fewer = tuple(other for other in on if other != name)
        found = solve(settings_of(fewer))
        note(judged(fewer, name, found, without=found, having=best))
        if not trials[-1].kept:
            on, best = fewer, found
    return Ladder(
        patterns=len(best.indices),
        trials=trials,
        switches=on,
        complete=complete,
        settings=settings_of(on),
    )


def judged(
    switches: tuple[str, ...], tried: str, found: HeldOut, *, without: HeldOut, having: HeldOut
) -> Trial:
    """Return the trial ``found``, with the gain of the switch ``tried`` from two predictions."""
    gains = without.deviance - having.deviance
    gain = float(np.mean(gains))
    noise = float(np.std(gains, ddof=1)) / math.sqrt(len(gains)) if len(gains) > 1 else math.inf
    return Trial(
        switches=switches,
        tried=tried,
        deviance=_mean(found),
        gain=gain,
        noise=noise,
        kept=gain > ERRORS * noise and gain > PART * _mean(without),
    )


def _mean(found: HeldOut) -> float:
    return float(np.mean(found.deviance))
