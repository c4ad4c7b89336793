"""Which switches of the solver the data ask for, decided by patterns that are not used.

Short runs from the same start, each with one switch more, predict the same held-out patterns. A
switch stays if their deviance falls by more than its noise over the patterns, and by more than a
small part of itself, which is how far two runs differ that differ in nothing of importance. And it
has to fall by more than further epochs may still bring without the switch: whatever makes the
solver faster helps a run that has not converged. Where they may, both runs are made twice as long.
After the last rung each switch is tried without once more: what another one has made needless goes.
A switch that only makes the solver faster is tried last, where a run seems to be stuck.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
from attrs import define, evolve, field, frozen
from ptycho_physics import DivergenceError, HeldOut

__all__ = ["RUNGS", "Ladder", "Rung", "Trial", "climb", "held_out_share"]

#: Patterns that are held out at least, if they are not more than `LARGEST_SHARE`.
PATTERNS = 32
SHARE, LARGEST_SHARE = 0.05, 0.2
#: Epochs of a trial, and the factor on them up to which trials are made longer.
EPOCHS, LONGEST = 15, 8
#: A gain of more standard errors, and of a larger part of the deviance, is one.
ERRORS, PART = 3.0, 0.01
#: Deviance per pixel above which a run may have stopped at a wrong object: noise makes about one.
STUCK = 3.0


@frozen(kw_only=True)
class Rung:
    """A switch: its name, the settings of the solver, and the name of one that it brings along.

    One that only leads there faster is tried where the deviance per pixel is larger than ``above``:
    there the run may have stopped at a wrong object.
    """

    name: str
    settings: Mapping[str, Any]
    needs: str = ""
    above: float | None = None


#: In order of cost.
RUNGS = (
    Rung(name="probe", settings={"update_probe": True}),
    Rung(name="light", settings={"refine_light": True}),
    Rung(name="background", settings={"background": "constant"}),
    Rung(name="affine", settings={"refine_affine": True}),
    Rung(name="positions", settings={"refine_positions": True}),
    Rung(name="modes", settings={"modes": 3}, needs="probe"),
    Rung(name="variation", settings={"probe_variation": 2}, needs="probe"),
    Rung(name="momentum", settings={"momentum": 0.9}, above=STUCK),
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
    epochs : int
        Of the runs that were compared.
    kept : bool
        Whether the switch is on from here.
    """

    switches: tuple[str, ...]
    tried: str = ""
    epochs: int
    deviance: float | None
    gain: float = 0.0
    noise: float = 0.0
    kept: bool = True

    def describe(self) -> str:
        """Return the line of the ladder."""
        verdict = "on" if self.kept else "off"
        name = self.tried if self.tried in self.switches else f"without {self.tried}"
        if self.deviance is None:
            return f"{name}: the solver diverges, {verdict}"
        if not self.tried:
            return f"nothing more: deviance {self.deviance:.4f}"
        change = f"{self.gain:+.4f} +- {self.noise:.4f} after {self.epochs} epochs"
        return f"{name}: deviance {self.deviance:.4f}, gain {change}, {verdict}"


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
                    "epochs": trial.epochs,
                    "kept": trial.kept,
                }
                for trial in self.trials
            ],
        }


def held_out_share(patterns: int) -> float:
    """Return the share of a scan's patterns to hold out in trials."""
    return min(LARGEST_SHARE, max(SHARE, PATTERNS / patterns))


class _NoTimeError(Exception):
    """There is no time for another trial."""


@define(kw_only=True)
class _Trials:
    """Runs with some switches and epochs, each made once."""

    solve: Callable[[Mapping[str, Any], int], HeldOut]
    settings_of: Callable[[tuple[str, ...]], dict[str, Any]]
    overdue: Callable[[], bool]
    epochs: int
    made: dict[tuple[tuple[str, ...], int], HeldOut | None] = field(factory=dict)

    def run(self, switches: tuple[str, ...], epochs: int) -> HeldOut | None:
        """Return the prediction with these switches; None if the solver diverges."""
        key = (switches, epochs)
        if key not in self.made:
            if self.made and self.overdue():
                raise _NoTimeError
            try:
                self.made[key] = self.solve(self.settings_of(switches), epochs)
            except DivergenceError:
                if not self.made:  # it does without any switch
                    raise
                self.made[key] = None
        return self.made[key]

    def latest(self, switches: tuple[str, ...]) -> float:
        """Return the deviance of the longest run with these switches."""
        lengths = [epochs for on, epochs in self.made if on == switches]
        found = self.run(switches, max(lengths))
        return math.inf if found is None else _mean(found)

    def race(self, on: tuple[str, ...], rung: Rung) -> Trial:
        """Return the trial of a switch that makes a run faster, in ever longer runs.

        It is on as soon as it is ahead; off if it never is, or further epochs do as well.
        """
        epochs, more = self.epochs, (*on, rung.name)
        while True:
            without, having = self.run(on, epochs), self.run(more, epochs)
            trial = evolve(judged(rung.name, without, having, epochs), switches=more)
            there = without is not None and _mean(without) <= (rung.above or 0.0)
            if trial.kept or there or epochs >= LONGEST * self.epochs:
                return trial
            epochs *= 2

    def compare(
        self, fewer: tuple[str, ...], more: tuple[str, ...], tried: str, *, added: bool
    ) -> Trial:
        """Return the trial of the switch that ``more`` has in addition, with what it needs.

        It is that of adding the switch, or of taking it away. Both runs get longer as long as
        further epochs may explain the gain; where they still may in the end, it is none.
        """
        epochs = self.epochs
        while True:
            without, having = self.run(fewer, epochs), self.run(more, epochs)
            trial = judged(tried, without, having, epochs)
            found = having if added else without
            trial = evolve(
                trial,
                switches=more if added else fewer,
                deviance=None if found is None else _mean(found),
            )
            if not trial.kept or without is None or trial.gain > to_come(without, epochs):
                return trial
            if epochs >= LONGEST * self.epochs:
                return evolve(trial, kept=False)
            epochs *= 2


def climb(
    solve: Callable[[Mapping[str, Any], int], HeldOut],
    given: Mapping[str, Any],
    *,
    epochs: int = EPOCHS,
    rungs: tuple[Rung, ...] = RUNGS,
    tell: Callable[[Trial], None] = lambda _: None,
    overdue: Callable[[], bool] = lambda: False,
) -> Ladder:
    """Try one switch after the other.

    Parameters
    ----------
    solve
        Solves with the given settings in addition and so many epochs, and returns the prediction of
        the same held-out patterns in each call; may raise `DivergenceError`.
    given
        Settings that the user made: what they switch on stays on and is not tried.
    epochs
        Of a trial; up to `LONGEST` times as many where it takes more to decide.
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
    fixed, told = set(on), []

    def settings_of(switches: tuple[str, ...]) -> dict[str, Any]:
        chosen: dict[str, Any] = {}
        for rung in rungs:
            if rung.name in switches and rung.name not in fixed:
                chosen |= rung.settings
        return chosen

    def note(trial: Trial) -> bool:
        told.append(trial)
        tell(trial)
        return trial.kept

    trials = _Trials(solve=solve, settings_of=settings_of, overdue=overdue, epochs=epochs)
    first = cast("HeldOut", trials.run(on, epochs))
    note(Trial(switches=on, epochs=epochs, deviance=_mean(first)))
    complete = True
    try:
        for rung in rungs:
            if rung.name in on:
                continue
            if rung.above is not None:
                if trials.latest(on) > rung.above and note(trials.race(on, rung)):
                    on = (*on, rung.name)
                continue
            brought = [rung.needs] if rung.needs in names and rung.needs not in on else []
            more = (*on, *brought, rung.name)
            if note(trials.compare(on, more, rung.name, added=True)):
                on = more
        for name in on[:-1]:
            needed = any(rung.needs == name and rung.name in on for rung in rungs)
            if name in fixed or needed:
                continue
            fewer = tuple(other for other in on if other != name)
            if not note(trials.compare(fewer, on, name, added=False)):
                on = fewer
    except _NoTimeError:
        complete = False
    return Ladder(
        patterns=len(first.indices),
        trials=told,
        switches=on,
        complete=complete,
        settings=settings_of(on),
    )


def judged(tried: str, without: HeldOut | None, having: HeldOut | None, epochs: int) -> Trial:
    """Return the trial of a switch from the predictions of equally long runs.

    A switch with which the solver diverges is off, and one without which it does is on.
    """
    if without is None or having is None:
        return Trial(
            switches=(), tried=tried, epochs=epochs, deviance=None, kept=having is not None
        )
    gains = without.deviance - having.deviance
    gain = float(np.mean(gains))
    noise = float(np.std(gains, ddof=1)) / math.sqrt(len(gains)) if len(gains) > 1 else math.inf
    return Trial(
        switches=(),
        tried=tried,
        epochs=epochs,
        deviance=_mean(having),
        gain=gain,
        noise=noise,
        kept=gain > ERRORS * noise and gain > PART * _mean(without),
    )


def to_come(found: HeldOut, epochs: int) -> float:
    """Return by how much more epochs may lower the deviance of a run of so many.

    As much as its second half did, which they do if the deviance falls as one over the epochs;
    nothing if the run ended by itself.
    """
    deviances = found.deviances
    if len(deviances) < epochs:
        return 0.0
    half = deviances[: epochs // 2]
    return min(half) - min(deviances) if half else math.inf


def _mean(found: HeldOut) -> float:
    return float(np.mean(found.deviance))
