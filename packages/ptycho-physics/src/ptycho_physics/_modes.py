"""Mutually orthogonal probe modes of a partially coherent beam. NumPy only."""

import numpy as np
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError

from ptycho_physics._forward import normalise_probe
from ptycho_physics._shapes import offsets

ComplexField = NDArray[np.complexfloating]


def orthogonal_modes(
    probe: ComplexField, count: int, *, decay: float = 0.5
) -> NDArray[np.complex64]:
    """Make mutually orthogonal modes of one probe, as in a partially coherent beam.

    The modes are the probe times polynomials of x and y of rising degree, orthogonalised in this
    order: a Gaussian probe gives the Hermite-Gaussian modes of a partially coherent (Gaussian
    Schell-model) beam (A. Starikov and E. Wolf, J. Opt. Soc. Am. 72, 923, 1982).

    Parameters
    ----------
    probe : (N, N) or (1, N, N) complex array
    count
        Number of modes, >= 1.
    decay
        Power of each mode relative to the one before, in (0, 1].

    Returns
    -------
    (count, N, N) complex64 array
        Of unit total power; the first mode is the probe itself.

    Raises
    ------
    InvalidValueError
        If ``probe`` has several modes already, or cannot carry ``count`` of them.
    """
    field = np.asarray(probe, dtype=np.complex128)
    if field.ndim == 3 and field.shape[0] == 1:
        field = field[0]
    if field.ndim != 2:
        rule = "one mode of shape (N, N) or (1, N, N)"
        raise InvalidValueError("probe", rule, f"shape {field.shape}")
    if not 1 <= count <= field.size:
        raise InvalidValueError("count", f"in [1, {field.size}]", str(count))
    if not 0 < decay <= 1:
        raise InvalidValueError("decay", "> 0 and <= 1", f"{decay:g}")
    N = field.shape[-1]
    x, y = (axis / N for axis in offsets((N, N), (N // 2, N // 2)))
    powers = [(degree - k, k) for degree in range(count) for k in range(degree + 1)][:count]
    columns = np.stack([(field * x**a * y**b).ravel() for a, b in powers], axis=1)
    modes, triangle = np.linalg.qr(columns)
    diagonal = np.diagonal(triangle)
    if np.min(np.abs(diagonal)) <= 1e-12 * np.abs(diagonal[0]):
        rule = "at most the number of modes that the lit pixels of the probe can carry"
        raise InvalidValueError("count", rule, str(count), "ask for fewer modes")
    # QR leaves the sign of each mode open: use that of the probe.
    modes = modes * (diagonal / np.abs(diagonal))
    weights = decay ** (0.5 * np.arange(count))
    stack = (modes * weights).T.reshape(count, *field.shape)
    return np.asarray(normalise_probe(stack), dtype=np.complex64)


def orthogonalise_modes(probe: ComplexField) -> NDArray[np.complex64]:
    """Make probe modes mutually orthogonal, without changing any diffraction pattern.

    Modes are defined up to a unitary mixture. This one diagonalises the mutual intensity and
    sorts by power (P. Thibault and A. Menzel, Nature 494, 68, 2013).

    Parameters
    ----------
    probe : (M, N, N) complex array

    Returns
    -------
    (M, N, N) complex64 array
        The same total power as ``probe``, strongest mode first.

    Raises
    ------
    InvalidValueError
        If ``probe`` has no axis of modes.
    """
    modes = np.asarray(probe, dtype=np.complex128)
    if modes.ndim != 3:
        raise InvalidValueError("probe", "an (M, N, N) array", f"shape {modes.shape}")
    left, values, right = np.linalg.svd(modes.reshape(len(modes), -1), full_matrices=False)
    # The phase of each mode is arbitrary: use that of the original mode with the largest share.
    strongest = left[np.argmax(np.abs(left), axis=0), np.arange(left.shape[1])]
    right = right * (strongest / np.abs(strongest))[:, None]
    return np.asarray((values[:, None] * right).reshape(modes.shape), dtype=np.complex64)
