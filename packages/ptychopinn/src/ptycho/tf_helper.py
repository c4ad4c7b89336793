"""The last step of a reconstruction as older callers know it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptycho._inference import Prediction, place

__all__ = ["reassemble_position"]


def reassemble_position(
    obj_tensor: Prediction,
    global_offsets: Any,  # noqa: ARG001  the prediction knows where it belongs
    M: int = 20,  # noqa: ARG001  see below
) -> NDArray[np.complex64]:
    """Return the reconstructed object on the canvas of the application's own object.

    Parameters
    ----------
    obj_tensor
        What `predict` of a loaded model returned.
    global_offsets
        Of no use any more.
    M
        Of no use any more: older callers cut patches to M pixels against errors at their rims;
        here every pixel counts as much as it was lit.

    Returns
    -------
    (H, W) complex64 array
        With the shape of the ``objectGuess`` handed over, pixel upon pixel, one where no light
        went; without one, the canvas that the positions need.

    Raises
    ------
    TypeError
        If `obj_tensor` is something else.
    """
    if not isinstance(obj_tensor, Prediction):
        found = type(obj_tensor).__name__
        raise TypeError(f"reassemble_position: must be given what predict returned, got {found}")
    return place(obj_tensor)
