"""The last step of a reconstruction, for older callers."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptycho._inference import Prediction, place

__all__ = ["reassemble_position"]


def reassemble_position(
    obj_tensor: Prediction,
    global_offsets: Any,  # noqa: ARG001  the prediction has its own position
    M: int = 20,  # noqa: ARG001  see below
) -> NDArray[np.complex64]:
    """Return the reconstructed object on the canvas of the application's own object.

    Parameters
    ----------
    obj_tensor
        Result of `predict` of a loaded model.
    global_offsets
        Ignored.
    M
        Ignored: older callers cropped patches to M pixels to avoid errors at their edges; here
        each pixel is weighted by its illumination.

    Returns
    -------
    (H, W) complex64 array
        With the shape and pixels of the ``objectGuess`` of the scan, one where there was no
        illumination; without it, the canvas that the positions need.

    Raises
    ------
    TypeError
        If `obj_tensor` is not such a result.
    """
    if not isinstance(obj_tensor, Prediction):
        found = type(obj_tensor).__name__
        raise TypeError(f"reassemble_position: must be given what predict returned, got {found}")
    return place(obj_tensor)
