"""How good a reconstruction is: with a reference, without one, and between two halves of a scan.

NumPy only: metrics are computed once, at the end, in double precision.
"""

from ptycho_physics.metrics.compare import Comparison, compare
from ptycho_physics.metrics.frc import FourierRingCorrelation, frc, half_bit_threshold
from ptycho_physics.metrics.quality import (
    complex_correlation,
    global_factor,
    psnr,
    r_factor,
    ssim,
    wrap,
)
from ptycho_physics.metrics.registration import find_ramp, find_shift, ramp_phase, translate

__all__ = [
    "Comparison",
    "FourierRingCorrelation",
    "compare",
    "complex_correlation",
    "find_ramp",
    "find_shift",
    "frc",
    "global_factor",
    "half_bit_threshold",
    "psnr",
    "r_factor",
    "ramp_phase",
    "ssim",
    "translate",
    "wrap",
]
