"""The optics between probe and detector, from the settings of an experiment."""

import math
from typing import Any

from ptycho_config.errors import InvalidValueError, describe

from ptycho_physics._multislice import MultiSlice, Slices
from ptycho_physics._namespace import Array
from ptycho_physics._near_field import NearField
from ptycho_physics.solver._propagator import FarField, Propagator

WIDEST_BORDER = 1 / 4
"""Largest width of the border of a near-field pattern, relative to its side."""


def propagator_of(
    N: int, like: Array, xp: Any, *, near_field: float | None = None, slices: Slices | None = None
) -> Propagator:
    """Choose the propagator.

    Parameters
    ----------
    N
        Size of the waves.
    like
        An array of their library, device and precision.
    near_field
        Fresnel number of a pixel; None: the detector is in the far field.
    slices
        The slices of a thick object; None, or one slice: it is thin.
    """
    detector = FarField() if near_field is None else NearField.of(near_field, N, like, xp)
    if slices is None or slices.number == 1:
        return detector
    return MultiSlice(slices.step(N, like, xp), detector)


def near_field_border(near_field: float | None, N: int) -> int:
    r"""Return the width of the border around a pattern from which light may reach it, in pixels.

    Light of the highest frequency moves by :math:`1 / (2 F)` pixels on the way to the detector.
    What is further away than `WIDEST_BORDER` is left out. None in the far field.
    """
    if near_field is None:
        return 0
    if not (isinstance(near_field, int | float) and 1 / N <= near_field < math.inf):
        raise InvalidValueError(
            "near_field",
            f"a Fresnel number of a pixel of at least 1/N = {1 / N:.3g}",
            describe(near_field),
            "use larger patterns or larger pixels",
        )
    return math.ceil(min(0.5 / near_field, N * WIDEST_BORDER))
