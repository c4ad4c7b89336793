"""The physics of ptychography as pure functions on arrays, for NumPy and PyTorch alike."""

from ptycho_physics.__about__ import __version__
from ptycho_physics.forward import (
    back_propagate,
    detected_fraction,
    expected_counts,
    illuminate,
    intensity,
    normalise_probe,
    probe_intensity,
    probe_weight,
    propagate,
)
from ptycho_physics.geometry import Canvas
from ptycho_physics.losses import (
    amplitude_mae,
    poisson_deviance,
    poisson_nll,
    total_variation,
)
from ptycho_physics.metrics import Comparison, FourierRingCorrelation, compare, frc, r_factor
from ptycho_physics.modes import orthogonal_modes, orthogonalise_modes
from ptycho_physics.objects import line_object, object_from_image, random_cells, siemens_star
from ptycho_physics.patches import extract_patches, merge_patches
from ptycho_physics.probes import (
    defocused_probe,
    disk_probe,
    fresnel_propagate,
    gaussian_probe,
    zone_plate_probe,
)
from ptycho_physics.scans import fermat_scan, random_scan, raster_scan, snake_scan, spiral_scan
from ptycho_physics.simulate import simulate_counts
from ptycho_physics.solver import DivergenceError, Solution, solve

__all__ = [
    "Canvas",
    "Comparison",
    "DivergenceError",
    "FourierRingCorrelation",
    "Solution",
    "__version__",
    "amplitude_mae",
    "back_propagate",
    "compare",
    "defocused_probe",
    "detected_fraction",
    "disk_probe",
    "expected_counts",
    "extract_patches",
    "fermat_scan",
    "frc",
    "fresnel_propagate",
    "gaussian_probe",
    "illuminate",
    "intensity",
    "line_object",
    "merge_patches",
    "normalise_probe",
    "object_from_image",
    "orthogonal_modes",
    "orthogonalise_modes",
    "poisson_deviance",
    "poisson_nll",
    "probe_intensity",
    "probe_weight",
    "propagate",
    "r_factor",
    "random_cells",
    "random_scan",
    "raster_scan",
    "siemens_star",
    "simulate_counts",
    "snake_scan",
    "solve",
    "spiral_scan",
    "total_variation",
    "zone_plate_probe",
]
