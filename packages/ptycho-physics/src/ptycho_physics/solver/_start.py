"""The start of a run: checked arguments, scale of the counts, probe modes, first estimate."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError, describe

from ptycho_physics._detector_sampling import check_sampling
from ptycho_physics._forward import centring, normalise_probe
from ptycho_physics._geometry import Canvas
from ptycho_physics._modes import orthogonal_modes
from ptycho_physics._namespace import Array, as_like, contiguous, to_numpy
from ptycho_physics.memory import require_memory
from ptycho_physics.solver._estimate import Estimate
from ptycho_physics.solver._measurement import Measurement
from ptycho_physics.solver._optics import THIN, Optics
from ptycho_physics.solver._processes import ALONE, Processes

WEAK = 0.05
"""Power of an added mode, relative to the one before."""


def check_arguments(
    counts: Array,
    positions: NDArray[np.float64],
    probe: Array,
    initial: Array | None,
    processes: Processes = ALONE,
    sampling: int = 1,
) -> None:
    if len(counts.shape) != 3 or counts.shape[-1] != counts.shape[-2]:
        raise InvalidValueError("counts", "an (n, N, N) array", f"shape {tuple(counts.shape)}")
    check_sampling(sampling)
    N, size = counts.shape[-1], sampling * counts.shape[-1]
    if len(probe.shape) != 3 or tuple(probe.shape[-2:]) not in ((N, N), (size, size)):
        rule = f"an (M, N, N) array with N = {N}, that of the counts"
        rule += "" if sampling == 1 else f", or {size} with detector_sampling={sampling}"
        raise InvalidValueError("probe", rule, f"shape {tuple(probe.shape)}")
    if processes.alone and positions.shape != (counts.shape[0], 2):
        rule = f"a ({counts.shape[0]}, 2) array"
        raise InvalidValueError("positions", rule, f"shape {positions.shape}")
    share = len(processes.share(len(positions)))
    if counts.shape[0] != share:
        rule = f"the {share} patterns of this process"
        raise InvalidValueError("counts", rule, f"{counts.shape[0]} patterns")
    require_memory(positions, size)
    shape = Canvas.covering(positions, size).shape
    if initial is not None and tuple(initial.shape) != shape:
        rule = f"a {shape} array, the canvas that the positions cover"
        raise InvalidValueError("initial", rule, f"shape {tuple(initial.shape)}")


BACKGROUNDS = ("constant", "scaled")
"""Values of ``background``."""


def check_detector(background: str | None, saturation: float | None, offset: float) -> None:
    """Refuse an unknown kind of background, a saturation or an offset that is no count."""
    if background is not None and background not in BACKGROUNDS:
        raise InvalidValueError("background", f"one of {', '.join(BACKGROUNDS)}", background)
    if saturation is not None and not saturation > 0:
        raise InvalidValueError("saturation", "counts > 0", describe(saturation))
    if not 0 <= offset < math.inf:
        raise InvalidValueError("offset", "a number >= 0", describe(offset))


def check_options(
    whole: Mapping[str, tuple[int, int]], relaxation: float | None, tolerance: float | None
) -> None:
    """Refuse options out of range; of whole numbers, by name, with the smallest allowed."""
    for name, (value, least) in whole.items():
        if not isinstance(value, int | np.integer) or value < least:
            raise InvalidValueError(name, f"a whole number >= {least}", describe(value))
    if relaxation is not None and not 0 < relaxation <= 1:
        raise InvalidValueError("relaxation", "in (0, 1]", describe(relaxation))
    if tolerance is not None and not tolerance >= 0:
        raise InvalidValueError("tolerance", "a number >= 0", describe(tolerance))


def check_smoothness(smoothness: float, refine_positions: bool) -> None:
    """Refuse a smoothness of positions that is no length, or of positions that stay."""
    if not 0 <= smoothness < math.inf:
        raise InvalidValueError("position_smoothness", "patterns >= 0", describe(smoothness))
    if smoothness and not refine_positions:
        rule, advice = "left out unless positions are refined", "set refine_positions as well"
        raise InvalidValueError("position_smoothness", rule, describe(smoothness), advice)


def with_modes(probe: Array, modes: int | None, update_probe: bool, xp: Any) -> Array:
    """Add weak modes to a probe of one mode."""
    if modes is None or modes == probe.shape[0]:
        return probe
    if not update_probe:
        raise InvalidValueError(
            "modes",
            "the number of modes of the probe unless the probe is refined",
            str(modes),
            "set update_probe as well",
        )
    if probe.shape[0] != 1:
        raise InvalidValueError(
            "modes", f"{probe.shape[0]}, the modes that the probe has", str(modes), "leave it out"
        )
    several = orthogonal_modes(to_numpy(probe), modes, decay=WEAK)
    return as_like(xp.asarray(several), probe, xp)


def first_estimate(
    measured: Measurement,
    positions: NDArray[np.float64],
    probe: Array,
    initial: Array | None,
    relaxation: float,
    margin: int,
    xp: Any,
    optics: Optics = THIN,
) -> Estimate:
    """Set up the estimate: normalised probe, flat or given object."""
    covering = Canvas.covering(positions, probe.shape[-1])
    height, width = (side + 2 * margin for side in covering.shape)
    canvas = as_like(xp.ones((*optics.levels, height, width), dtype=xp.complex64), probe, xp)
    if initial is not None:
        edge = margin + optics.border
        window = (slice(edge, height - edge), slice(edge, width - edge))
        canvas[(*optics.middle, *window)] = xp.astype(initial, xp.complex64)
    probe = xp.astype(normalise_probe(probe, xp=xp), xp.complex64)
    return optics.estimate(
        measured=measured,
        positions=covering.local(positions) + margin,
        canvas=canvas,
        probe=contiguous(probe * centring(probe, xp), xp),
        relaxation=relaxation,
        xp=xp,
    )
