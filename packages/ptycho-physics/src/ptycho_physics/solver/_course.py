"""The course of a run: epochs of batches, which may end after any batch and go on later."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from attrs import define, field, frozen
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError
from ptycho_config.plain_text import array_text

from ptycho_physics._namespace import as_like, to_numpy
from ptycho_physics.solver._alignment import align_phase, move_positions
from ptycho_physics.solver._estimate import Estimate
from ptycho_physics.solver._stopping import DivergenceError, Watch, diverged


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
    """

    canvas: NDArray[np.complex64] = field(repr=array_text)
    probe: NDArray[np.complex64] = field(repr=array_text)
    positions: NDArray[np.float64] = field(repr=array_text)
    r_factors: list[float]
    batches: int
    misfit: float
    total: float
    generator: Mapping[str, Any]


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
    probe_start, position_start : int or None
        Epochs, counted from 0, in which refinement begins; None: there is none.
    first : (n, 2) float64 array
        Positions at the start, on the canvas.
    margin : int
        How far a position may move, in pixels.
    batches : int
        Finished batches of the current epoch.
    """

    estimate: Estimate
    watch: Watch
    random: np.random.Generator
    batch_size: int
    aligned: int
    probe_start: int | None
    position_start: int | None
    first: NDArray[np.float64]
    margin: int
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
            if callback is not None:
                callback(self.epoch, self.watch.r_factors[-1])
            if converged:
                return "plateau"
            if _begun(self.position_start, self.epoch - 1):
                move_positions(self.estimate, self.first, self.margin)
            self.batches, self._before = 0, self.random.bit_generator.state
            if self.epoch < epochs and between(self.state):
                return "caller"
        return "epochs"

    def _pass(self, between: Between) -> bool:
        """Pass over the patterns that are left in this epoch; False if the caller ended it."""
        estimate, n = self.estimate, len(self.estimate.measured)
        if not self.batches:
            if self.epoch < self.aligned:
                align_phase(estimate)
            estimate.misfit = estimate.total = 0.0
        with_probe = _begun(self.probe_start, self.epoch)
        order = np.array_split(self.random.permutation(n), math.ceil(n / self.batch_size))
        for batch in order[self.batches :]:
            if self.batches and between(self.state):
                return False
            estimate.step(batch, update_probe=with_probe)
            self.batches += 1
            if not math.isfinite(estimate.misfit):
                problem = "the residual is no longer finite"
                raise DivergenceError(diverged(self.epoch + 1, problem))
        if with_probe:
            estimate.fix_gauge()
        return True

    def state(self) -> State:
        """Copy what is needed to go on from here."""
        return State(
            canvas=np.array(to_numpy(self.estimate.canvas), order="C"),
            probe=np.array(to_numpy(self.estimate.probe), order="C"),
            positions=self.estimate.positions.copy(),
            r_factors=list(self.watch.r_factors),
            batches=self.batches,
            misfit=self.estimate.misfit,
            total=self.estimate.total,
            generator=self._before,
        )

    def restore(self, state: State) -> None:
        """Go on from a state.

        Raises
        ------
        InvalidValueError
            If it is that of a run on other patterns, or of another probe.
        """
        estimate = self.estimate
        for name in ("canvas", "probe", "positions"):
            mine, theirs = tuple(getattr(estimate, name).shape), getattr(state, name).shape
            if mine != theirs:
                rule = f"that of a run with {name} of shape {mine}"
                raise InvalidValueError("state", rule, f"{theirs}")
        xp, place = estimate.xp, estimate.canvas
        estimate.canvas = as_like(xp.asarray(state.canvas.copy()), place, xp)
        estimate.probe = as_like(xp.asarray(state.probe.copy()), place, xp)
        estimate.positions = state.positions.copy()
        estimate.misfit, estimate.total = state.misfit, state.total
        self.watch.r_factors[:] = state.r_factors
        self.batches = state.batches
        self.random.bit_generator.state = state.generator
        self._before = state.generator


def _begun(start: int | None, epoch: int) -> bool:
    return start is not None and epoch >= start
