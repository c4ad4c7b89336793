"""The physics of ptychography as pure functions on arrays of any array library.

Public modules: `losses`, `memory`, `metrics`, `noise`, `objects`, `probes`, `resampling`, `scans`,
`solver`, `testing`, `unrolled`. The functions used most often are also available here. Modules
whose names start with an underscore are private.
"""

from ptycho_physics.__about__ import __version__
from ptycho_physics._exposure import exposure_path, path_points, smeared_probe
from ptycho_physics._forward import (
    back_propagate,
    detected_fraction,
    expected_counts,
    illuminate,
    intensity,
    normalise_probe,
    probe_intensity,
    probe_weight,
    propagate,
    smoothing_envelope,
)
from ptycho_physics._geometry import Canvas
from ptycho_physics._gradients import canvas_gradient, likelihood_gradient
from ptycho_physics._low_counts import (
    few_photons,
    lit_pixels,
    modulus_ratio,
    noise_probe_pace,
    noise_relaxation,
    own_share,
)
from ptycho_physics._modes import orthogonal_modes, orthogonalise_modes
from ptycho_physics._mosaic import Mosaic
from ptycho_physics._multislice import MultiSlice, Slices
from ptycho_physics._near_field import NearField, NearFieldGeometry
from ptycho_physics._patches import extract_patches, merge_patches
from ptycho_physics._propagated import coarse_intensity, propagated_gradient, propagated_intensity
from ptycho_physics._propagation import angular_spectrum_propagate, fresnel_propagate
from ptycho_physics._scaling import (
    departure_from_beam,
    input_scale,
    intensity_scale,
    photons_per_pattern,
)
from ptycho_physics._simulate import simulate_counts
from ptycho_physics._stitching import SMALLEST_WEIGHT, stitched_object
from ptycho_physics._symmetries import SYMMETRIES, apply_symmetry, apply_symmetry_to_positions
from ptycho_physics._synchronisation import synchronise
from ptycho_physics.losses import (
    amplitude_mae,
    complex_mae,
    gentleness,
    likelihood_background,
    poisson_deviance,
    poisson_nll,
    total_variation,
)
from ptycho_physics.metrics import compare, r_factor, r_factor_sums
from ptycho_physics.objects import random_cells, siemens_star
from ptycho_physics.probes import (
    defocused_probe,
    disk_probe,
    gaussian_probe,
    inscribed_circle,
    prepare_probe,
    speckle_probe,
)
from ptycho_physics.scans import fermat_scan, random_scan, raster_scan, snake_scan, spiral_scan
from ptycho_physics.solver import (
    DivergenceError,
    HeldOut,
    Processes,
    Solution,
    State,
    near_field_border,
    propagator_of,
    solve,
)

__all__ = [
    "SMALLEST_WEIGHT",
    "SYMMETRIES",
    "Canvas",
    "DivergenceError",
    "HeldOut",
    "Mosaic",
    "MultiSlice",
    "NearField",
    "NearFieldGeometry",
    "Processes",
    "Slices",
    "Solution",
    "State",
    "__version__",
    "amplitude_mae",
    "angular_spectrum_propagate",
    "apply_symmetry",
    "apply_symmetry_to_positions",
    "back_propagate",
    "canvas_gradient",
    "coarse_intensity",
    "compare",
    "complex_mae",
    "defocused_probe",
    "departure_from_beam",
    "detected_fraction",
    "disk_probe",
    "expected_counts",
    "exposure_path",
    "extract_patches",
    "fermat_scan",
    "few_photons",
    "fresnel_propagate",
    "gaussian_probe",
    "gentleness",
    "illuminate",
    "input_scale",
    "inscribed_circle",
    "intensity",
    "intensity_scale",
    "likelihood_background",
    "likelihood_gradient",
    "lit_pixels",
    "merge_patches",
    "modulus_ratio",
    "near_field_border",
    "noise_probe_pace",
    "noise_relaxation",
    "normalise_probe",
    "orthogonal_modes",
    "orthogonalise_modes",
    "own_share",
    "path_points",
    "photons_per_pattern",
    "poisson_deviance",
    "poisson_nll",
    "prepare_probe",
    "probe_intensity",
    "probe_weight",
    "propagate",
    "propagated_gradient",
    "propagated_intensity",
    "propagator_of",
    "r_factor",
    "r_factor_sums",
    "random_cells",
    "random_scan",
    "raster_scan",
    "siemens_star",
    "simulate_counts",
    "smeared_probe",
    "smoothing_envelope",
    "snake_scan",
    "solve",
    "speckle_probe",
    "spiral_scan",
    "stitched_object",
    "synchronise",
    "total_variation",
]
