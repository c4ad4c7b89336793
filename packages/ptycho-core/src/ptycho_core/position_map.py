"""What a linear correction of all positions says of the stage, the pixel and the distance."""

import math
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

__all__ = ["PositionMap"]


@frozen(kw_only=True)
class PositionMap:
    """A linear map that corrects positions, by what it does to both axes of the stage.

    Attributes
    ----------
    scale_x, scale_y : float
        Factors on lengths along both axes.
    rotation_deg : float
        By how much the x axis turns, towards the y axis.
    shear_deg : float
        By how much the angle between the axes falls short of 90 degrees.
    """

    scale_x: float
    scale_y: float
    rotation_deg: float
    shear_deg: float

    @classmethod
    def of(cls, matrix: NDArray[np.float64]) -> "PositionMap":
        """Read it off a matrix (2, 2) that acts on ``(x, y)``."""
        x, y = matrix[:, 0], matrix[:, 1]
        across, down = math.atan2(x[1], x[0]), math.atan2(y[1], y[0])
        return cls(
            scale_x=math.hypot(*x),
            scale_y=math.hypot(*y),
            rotation_deg=math.degrees(across),
            shear_deg=90 - math.degrees(math.remainder(down - across, 2 * math.pi)),
        )

    @property
    def scale(self) -> float:
        """Mean factor on lengths."""
        return math.sqrt(self.scale_x * self.scale_y)

    def metrics(
        self, pixel_size_m: float | None, detector_distance_m: float | None
    ) -> dict[str, Any]:
        """Return the entries of ``metrics.json``.

        Positions in pixels are those of the stage divided by the pixel of the object, which is
        proportional to the distance of the detector. If the stage is right, both were too large by
        the mean scale.
        """
        found: dict[str, Any] = {
            "position_scale": [self.scale_x, self.scale_y],
            "position_rotation_deg": self.rotation_deg,
            "position_shear_deg": self.shear_deg,
        }
        for name, value in (
            ("pixel_size_m_by_stage", pixel_size_m),
            ("detector_distance_m_by_stage", detector_distance_m),
        ):
            if value is not None:
                found[name] = value / self.scale
        return found

    def describe(self, pixel_size_m: float | None, detector_distance_m: float | None) -> str:
        """Say it in one line."""
        text = (
            f"positions: scale {self.scale_x:.4f} along x and {self.scale_y:.4f} along y, "
            f"turned by {self.rotation_deg:.2f} degrees, shear {self.shear_deg:.2f} degrees"
        )
        found = self.metrics(pixel_size_m, detector_distance_m)
        meant = []
        if pixel_size_m is not None:
            new = found["pixel_size_m_by_stage"]
            meant.append(f"a pixel of {new * 1e9:.4g} nm instead of {pixel_size_m * 1e9:.4g} nm")
        if detector_distance_m is not None:
            new = found["detector_distance_m_by_stage"]
            meant.append(f"a distance of {new:.4g} m instead of {detector_distance_m:.4g} m")
        if meant:
            text += f"; if the stage is right, {' and '.join(meant)}"
        return text
