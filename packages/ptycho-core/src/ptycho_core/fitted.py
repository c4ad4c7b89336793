"""What the solver has fitted besides object, probe and positions."""

from pathlib import Path
from typing import Any

import numpy as np
from attrs import fields, frozen
from numpy.typing import NDArray
from ptycho_physics import HeldOut, Solution, path_points, smeared_probe

from ptycho_core.position_map import PositionMap

__all__ = ["FITTED_FILE", "Fitted"]

#: Its file among the results.
FITTED_FILE = "fitted.npz"


@frozen(kw_only=True, eq=False)
class Fitted:
    """Light, background and probe of each pattern, and the prediction of those not used.

    Attributes
    ----------
    light : (n,) float64 array, or None
        Relative intensity of the beam in each pattern, of mean one.
    background : (N, N) float64 array, or None
        Counts of each pixel that came without light.
    background_share : (n,) float64 array, or None
        Factor on it of each pattern, of mean one.
    probe_variation : (K, N, N) complex64 array, or None
        Modes by which the first mode of the probe varies.
    variation_coefficients : (n, K) complex64 array, or None
        Their coefficients in each pattern.
    affine : (2, 2) float64 array, or None
        Linear map of the positions about their mean that corrects them.
    backlash : (2,) float64 array, or None
        Shift (x, y) of the positions between there and back, in pixels.
    exposure_path : (n, 2) float64 array, or None
        Displacement of the sample during each exposure of a fly scan, in pixels.
    held_out : HeldOut or None
    detector_sampling : int
        Pixels of the waves along a side of a pixel of the detector.
    """

    light: NDArray[np.float64] | None = None
    background: NDArray[np.float64] | None = None
    background_share: NDArray[np.float64] | None = None
    probe_variation: NDArray[np.complex64] | None = None
    variation_coefficients: NDArray[np.complex64] | None = None
    affine: NDArray[np.float64] | None = None
    backlash: NDArray[np.float64] | None = None
    exposure_path: NDArray[np.float64] | None = None
    held_out: HeldOut | None = None
    detector_sampling: int = 1

    @classmethod
    def of(cls, solution: Solution) -> "Fitted":
        """Take it from a solution."""
        return cls(**{entry.name: getattr(solution, entry.name) for entry in fields(cls)})

    def epoch(self, epochs: int) -> int:
        """Return the epoch of the result, counted from 1, of a run of so many."""
        return epochs if self.held_out is None else self.held_out.best

    def probes_of(
        self, probe: NDArray[np.complex64], rows: NDArray[np.int64]
    ) -> NDArray[np.complex64]:
        """Return the probe (M, N, N) of all patterns, or that of each of some (k, M, N, N).

        In a fly scan with its modes at all points of the path.
        """
        if self.probe_variation is not None and self.variation_coefficients is not None:
            varied = np.repeat(probe[None], len(rows), axis=0)
            added = self.variation_coefficients[rows, :, None, None] * self.probe_variation
            varied[:, 0] += added.sum(axis=1)
            probe = varied
        if self.exposure_path is None:
            return probe
        points = path_points(self.exposure_path)
        return np.asarray(smeared_probe(probe, self.exposure_path[rows], points=points))

    def background_of(self, rows: NDArray[np.int64]) -> NDArray[np.float64] | None:
        """Return the background (k, N, N) of some patterns; None if there is none."""
        if self.background is None:
            return None
        share = self.background_share
        factor = np.ones(len(rows)) if share is None else share[rows]
        return factor[:, None, None] * self.background

    @property
    def position_map(self) -> PositionMap | None:
        """What the linear correction of the positions means."""
        return None if self.affine is None else PositionMap.of(self.affine)

    def metrics(
        self, pixel_size_m: float | None, detector_distance_m: float | None = None
    ) -> dict[str, Any]:
        """Return the entries of ``metrics.json``, lengths also in metres if pixels are known."""
        found: dict[str, Any] = {}
        if self.light is not None:
            found["light_rms"] = float(np.std(self.light))
        if self.background is not None:
            found["background_mean"] = float(self.background.mean())
        if self.variation_coefficients is not None:
            power = np.sum(np.abs(self.variation_coefficients) ** 2, axis=1)
            found["probe_variation_rms"] = float(np.sqrt(power.mean()))
        if self.affine is not None and self.position_map is not None:
            found["affine"] = self.affine.tolist()
            found |= self.position_map.metrics(pixel_size_m, detector_distance_m)
        if self.backlash is not None:
            found["backlash"] = self.backlash.tolist()
            if pixel_size_m is not None:
                found["backlash_m"] = (self.backlash * pixel_size_m).tolist()
        if self.held_out is not None:
            found["held_out"] = {
                "patterns": len(self.held_out.indices),
                "r_factor": self.held_out.r_factor,
                "deviance": float(self.held_out.deviance.mean()),
                "best_epoch": self.held_out.best,
                "deviances": self.held_out.deviances,
                "r_factors": self.held_out.r_factors,
            }
        return found

    def save(self, folder: Path) -> None:
        """Write the arrays as `FITTED_FILE`; nothing if there are none."""
        arrays = {entry.name: getattr(self, entry.name) for entry in fields(Fitted)}
        if self.held_out is not None:
            arrays["held_out"] = self.held_out.indices
        if self.detector_sampling == 1:
            del arrays["detector_sampling"]
        there: dict[str, Any] = {name: a for name, a in arrays.items() if a is not None}
        if there:
            np.savez(folder / FITTED_FILE, **there)
