"""The course of a run: epochs of batches, which may end after any batch and go on later."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from attrs import define, field, frozen
from numpy.typing import NDArray
from ptycho_config.plain_text import array_text

from ptycho_physics.solver._alignment import align_phase
from ptycho_physics.solver._estimate import Estimate
from ptycho_physics.solver._held_out import Record
from ptycho_physics.solver._momentum import Momentum
from ptycho_physics.solver._positions import (
    move_affinely,
    move_back_and_forth,
    move_positions,
)
from ptycho_physics.solver._probe_changes import begin_variation
from ptycho_physics.solver._step import Updates, take_step
from ptycho_physics.solver._stopping import NOT_FINITE, DivergenceError, Watch, diverged


def _names(arrays: Mapping[str, Any]) -> str:
    return ", ".join(sorted(arrays))


@frozen(kw_only=True, eq=False)
class State:
    """Where a run is after a batch: `solve` goes on from it as if it had never stopped.

    Attributes
    ----------
    canvas : (H, W) complex64 NumPy array
        The object, with a margin where positions are refined.
    probe : (M, N, N) complex64 NumPy array
    positions : (n, 2) float64 NumPy array
        Patch centres ``(x, y)`` on the canvas.
    r_factors : list of float
        R-factors of the finished epochs.
    batches : int
        Finished batches of the epoch after them.
    misfit, total : float
        Sums of the R-factor over these batches.
    generator : mapping
        State of the random generator before the order of that epoch was drawn; fit for JSON.
    more : mapping of NumPy arrays
        What else is estimated, such as the light of each pattern.
    best : mapping of NumPy arrays
        With held-out patterns, the estimate after the best epoch.
    held_out : mapping of lists of float
        Deviances and R-factors of the held-out patterns after each epoch.
    """

    canvas: NDArray[np.complex64] = field(repr=array_text)
    probe: NDArray[np.complex64] = field(repr=array_text)
    positions: NDArray[np.float64] = field(repr=array_text)
    r_factors: list[float]
    batches: int
    misfit: float
    total: float
    generator: Mapping[str, Any]
    more: Mapping[str, NDArray[Any]] = field(factory=dict, repr=_names)
    best: Mapping[str, NDArray[Any]] = field(factory=dict, repr=_names)
    held_out: Mapping[str, list[float]] = field(factory=dict)


Between = Callable[[Callable[[], State]], bool]
"""Called between batches with a function that returns the state; True ends the run."""


@define(kw_only=True, eq=False)
class Course:
    """A run of the solver between two batches.

    Attributes
    ----------
    estimate : Estimate
    watch : Watch
        With the R-factors of the finished epochs.
    random : numpy.random.Generator
        Draws the order of the patterns.
    batch_size : int
    aligned : int
        First epochs that begin with the fit of a smooth phase.
    probe_start, light_start, background_start, variation_start, position_start : int or None
        Epochs, counted from 0, in which refinement begins; None: there is none.
    first : (n, 2) float64 array
        Positions at the start, on the canvas.
    affine_start, backlash_start : int or None
        Epochs in which the corrections of all positions together begin.
    smoothness : float
        Of the deviations of single positions, in patterns: see `smooth_steps`.
    margin, affine_margin : int
        How far a position may move alone or by the backlash, and by the affine correction, in
        pixels.
    patience : int
        Epochs without a better prediction of the held-out patterns that end the run.
    momentum : Momentum or None
        Of object and probe.
    record : Record
        Of the held-out patterns.
    batches : int
        Finished batches of the current epoch.
    """

    estimate: Estimate
    watch: Watch
    random: np.random.Generator
    batch_size: int
    aligned: int
    probe_start: int | None
    light_start: int | None
    background_start: int | None
    variation_start: int | None
    position_start: int | None
    first: NDArray[np.float64]
    margin: int
    affine_start: int | None = None
    backlash_start: int | None = None
    smoothness: float = 0.0
    affine_margin: int = 0
    patience: int
    momentum: Momentum | None = None
    record: Record = field(factory=Record)
    batches: int = 0
    _before: Mapping[str, Any] = field(init=False)

    @_before.default
    def _before_the_order_is_drawn(self) -> Mapping[str, Any]:
        return self.random.bit_generator.state

    @property
    def epoch(self) -> int:
        """The current epoch, counted from 0."""
        return len(self.watch.r_factors)

    def run(
        self, epochs: int, callback: Callable[[int, float], None] | None, between: Between
    ) -> str:
        """Make the epochs that are left, and return why the run ended: see `Solution.stopped`."""
        while self.epoch < epochs:
            if not self._pass(between):
                return "caller"
            converged = self.watch.add(self.estimate.misfit / self.estimate.total)
            self.estimate.average(self.epoch)
            if len(self.estimate.measured.held_out):
                self.record.add(self.estimate, self._updates(self.epoch - 1))
            if callback is not None:
                callback(self.epoch, self.watch.r_factors[-1])
            if converged:
                return "plateau"
            if self._overfitted():
                return "held-out"
            self._move()
            self.batches, self._before = 0, self.random.bit_generator.state
            if self.epoch < epochs and self._ended(between):
                return "caller"
        return "epochs"

    def _move(self) -> None:
        """Move the positions by what the patterns ask for after an epoch."""
        epoch = self.epoch - 1
        if _begun(self.affine_start, epoch):
            move_affinely(self.estimate, self.first, self.affine_margin)
        if _begun(self.backlash_start, epoch):
            move_back_and_forth(self.estimate, self.first, self.margin)
        if _begun(self.position_start, epoch):
            move_positions(self.estimate, self.first, self.margin, self.smoothness)

    def _updates(self, epoch: int) -> Updates:
        return Updates(
            probe=_begun(self.probe_start, epoch),
            light=_begun(self.light_start, epoch),
            background=_begun(self.background_start, epoch),
            variation=_begun(self.variation_start, epoch),
        )

    def _ended(self, between: Between) -> bool:
        """Whether the caller of any process ends the run."""
        return self.estimate.measured.processes.any(between(self.state))

    def _overfitted(self) -> bool:
        """Whether the held-out patterns are predicted worse, since all refinements are active."""
        settled = self.epoch >= self.watch.settled + self.patience
        return settled and bool(self.record.deviances) and self.record.overdue(self.patience)

    def _pass(self, between: Between) -> bool:
        """Pass over the patterns that are left in this epoch; False if the caller ended it."""
        estimate, alone = self.estimate, self.estimate.measured.processes.alone
        if not self.batches:
            if self.epoch < self.aligned:
                align_phase(estimate)
            estimate.misfit = estimate.total = 0.0
        updates = self._updates(self.epoch)
        if updates.variation and not self.batches:
            begin_variation(estimate)
        if self.momentum is not None and not self.batches:
            self.momentum.begin_epoch(self.watch.r_factors)
        order = self._order()
        for batch in order[self.batches :]:
            # several processes end after an epoch only, when all of them know all of the state
            if alone and self.batches and between(self.state):
                return False
            if self.momentum is not None:
                self.momentum.begin_batch(estimate, self.batches, len(order))
            take_step(estimate, batch, updates)
            if self.momentum is not None:
                self.momentum.end_batch(estimate, self.batches, len(order))
            self.batches += 1
            if alone:
                self._check_finite()
        estimate.join()
        self._check_finite()
        if updates.gauge:
            estimate.fix_gauge(probe_refined=updates.probe)
        estimate.end_epoch()
        return True

    def _order(self) -> list[NDArray[np.int64]]:
        """Draw the order of the patterns in an epoch, and return those of this process by batch."""
        measured = self.estimate.measured
        drawn, processes = self.random.permutation(measured.used), measured.processes
        number = math.ceil(len(drawn) / self.batch_size)
        if not processes.alone:  # each has a part in every batch, and knows how many there are
            number = min(number, int(np.bincount(drawn % processes.number).min()))
        return np.array_split(processes.mine(drawn), number)

    def _check_finite(self) -> None:
        if not math.isfinite(self.estimate.misfit):
            raise DivergenceError(diverged(self.epoch + 1, NOT_FINITE))

    def fix_gauge(self) -> None:
        """Share out, within an epoch, what is shared out after each: see `Estimate.fix_gauge`."""
        self.estimate.fix_gauge(probe_refined=self._updates(self.epoch).probe)

    def state(self) -> State:
        """Copy what is needed to go on from here."""
        arrays, record = self.estimate.arrays(), self.record
        if self.momentum is not None:
            arrays |= self.momentum.arrays()
        held_out = {"deviances": list(record.deviances), "r_factors": list(record.r_factors)}
        return State(
            **{name: arrays.pop(name) for name in ("canvas", "probe", "positions")},
            r_factors=list(self.watch.r_factors),
            batches=self.batches,
            misfit=self.estimate.misfit,
            total=self.estimate.total,
            generator=self._before,
            more=arrays,
            best=dict(record.kept),
            held_out=held_out if record.deviances else {},
        )

    def restore(self, state: State) -> None:
        """Go on from a state.

        Raises
        ------
        InvalidValueError
            If it is that of a run on other patterns, of another probe, or that refines others.
        """
        estimate = self.estimate
        arrays = {name: getattr(state, name) for name in ("canvas", "probe", "positions")}
        more = dict(state.more)
        if self.momentum is not None:
            more = self.momentum.take(more, estimate.canvas, estimate.xp)
        estimate.set_arrays({**arrays, **more})
        estimate.misfit, estimate.total = state.misfit, state.total
        self.watch.r_factors[:] = state.r_factors
        self.batches = state.batches
        self.random.bit_generator.state = state.generator
        self._before = state.generator
        if state.held_out:
            self.record = Record(
                deviances=list(state.held_out["deviances"]),
                r_factors=list(state.held_out["r_factors"]),
                kept=dict(state.best),
            )


def _begun(start: int | None, epoch: int) -> bool:
    return start is not None and epoch >= start
