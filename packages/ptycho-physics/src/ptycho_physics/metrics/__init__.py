"""Figures of merit of a reconstruction: with a reference, without one, and of two half scans.

Metrics are computed with NumPy in double precision; arrays of other libraries are copied. Only
`r_factor_sums` works in any library.
"""

from ptycho_physics.metrics._compare import Comparison, compare
from ptycho_physics.metrics._frc import FourierRingCorrelation, frc, half_bit_threshold
from ptycho_physics.metrics._halves import frc_of_halves, split_halves
from ptycho_physics.metrics._quality import (
    complex_correlation,
    global_factor,
    psnr,
    ssim,
    wrap,
)
from ptycho_physics.metrics._r_factor import noise_r_factor_sums, r_factor, r_factor_sums
from ptycho_physics.metrics._registration import find_ramp, find_shift, ramp_phase, shift_image

__all__ = [
    "Comparison",
    "FourierRingCorrelation",
    "compare",
    "complex_correlation",
    "find_ramp",
    "find_shift",
    "frc",
    "frc_of_halves",
    "global_factor",
    "half_bit_threshold",
    "noise_r_factor_sums",
    "psnr",
    "r_factor",
    "r_factor_sums",
    "ramp_phase",
    "shift_image",
    "split_halves",
    "ssim",
    "wrap",
]
