"""The physics of ptychography as pure functions on arrays, for every array library alike."""

from ptycho_physics.__about__ import __version__
from ptycho_physics.dose import few_photons, lit_pixels, modulus_ratio, own_share
from ptycho_physics.fields import from_polar
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
    smoothing_envelope,
)
from ptycho_physics.geometry import Canvas
from ptycho_physics.gradients import Gradient, canvas_gradient, likelihood_gradient
from ptycho_physics.layouts import (
    channels_to_group,
    flat_to_group,
    group_to_channels,
    group_to_flat,
)
from ptycho_physics.losses import (
    amplitude_mae,
    complex_mae,
    gentleness,
    likelihood_background,
    poisson_deviance,
    poisson_nll,
    total_variation,
)
from ptycho_physics.metrics import (
    Comparison,
    FourierRingCorrelation,
    compare,
    frc,
    frc_of_halves,
    r_factor,
    split_halves,
)
from ptycho_physics.modes import orthogonal_modes, orthogonalise_modes
from ptycho_physics.mosaic import Mosaic
from ptycho_physics.noise import beam_stop, poisson_noise, random_bad_pixels, read_out
from ptycho_physics.objects import line_object, object_from_image, random_cells, siemens_star
from ptycho_physics.patches import extract_patches, merge_patches
from ptycho_physics.phases import synchronise
from ptycho_physics.probes import (
    circular_mask,
    defocused_probe,
    disk_probe,
    gaussian_probe,
    inscribed_circle,
    prepare_probe,
    probe_from_array,
    smooth_probe,
    zone_plate_probe,
)
from ptycho_physics.propagation import angular_spectrum_propagate, fresnel_propagate
from ptycho_physics.scaling import (
    counts_from_amplitude,
    departure_from_beam,
    input_scale,
    intensity_scale,
    network_input,
    photons_of,
)
from ptycho_physics.scans import fermat_scan, random_scan, raster_scan, snake_scan, spiral_scan
from ptycho_physics.simulate import simulate_counts
from ptycho_physics.solver import DivergenceError, Solution, solve
from ptycho_physics.stitching import stitched_object
from ptycho_physics.symmetries import turned, turned_positions
from ptycho_physics.translation import translate

__all__ = [
    "Canvas",
    "Comparison",
    "DivergenceError",
    "FourierRingCorrelation",
    "Gradient",
    "Mosaic",
    "Solution",
    "__version__",
    "amplitude_mae",
    "angular_spectrum_propagate",
    "back_propagate",
    "beam_stop",
    "canvas_gradient",
    "channels_to_group",
    "circular_mask",
    "compare",
    "complex_mae",
    "counts_from_amplitude",
    "defocused_probe",
    "departure_from_beam",
    "detected_fraction",
    "disk_probe",
    "expected_counts",
    "extract_patches",
    "fermat_scan",
    "few_photons",
    "flat_to_group",
    "frc",
    "frc_of_halves",
    "fresnel_propagate",
    "from_polar",
    "gaussian_probe",
    "gentleness",
    "group_to_channels",
    "group_to_flat",
    "illuminate",
    "input_scale",
    "inscribed_circle",
    "intensity",
    "intensity_scale",
    "likelihood_background",
    "likelihood_gradient",
    "line_object",
    "lit_pixels",
    "merge_patches",
    "modulus_ratio",
    "network_input",
    "normalise_probe",
    "object_from_image",
    "orthogonal_modes",
    "orthogonalise_modes",
    "own_share",
    "photons_of",
    "poisson_deviance",
    "poisson_nll",
    "poisson_noise",
    "prepare_probe",
    "probe_from_array",
    "probe_intensity",
    "probe_weight",
    "propagate",
    "r_factor",
    "random_bad_pixels",
    "random_cells",
    "random_scan",
    "raster_scan",
    "read_out",
    "siemens_star",
    "simulate_counts",
    "smooth_probe",
    "smoothing_envelope",
    "snake_scan",
    "solve",
    "spiral_scan",
    "split_halves",
    "stitched_object",
    "synchronise",
    "total_variation",
    "translate",
    "turned",
    "turned_positions",
    "zone_plate_probe",
]
