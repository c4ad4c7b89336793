"""How certain a reconstruction is, by halves of the scan and a simulated repetition."""

from ptycho_core.uncertainty.calibration import Calibration
from ptycho_core.uncertainty.estimate import Uncertainty, estimate_uncertainty

__all__ = ["Calibration", "Uncertainty", "estimate_uncertainty"]
