"""A loaded bundle as a model, and its reconstructions."""

import logging
from collections.abc import Sequence
from functools import reduce
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray
from ptycho_config import Layer, resolve_inference
from ptycho_core.backends import require
from ptycho_data import Bundle, Reconstruction, Scan

from ptycho.grouped import Selection
from ptycho.loader import Patterns

__all__ = ["BundleModel", "Prediction", "place", "reconstruct"]

log = logging.getLogger(__name__)

SEEN = 0.05
"""Fraction of the maximum coverage above which a pixel counts as illuminated."""


@attrs.frozen(eq=False)
class Prediction:
    """A stitched object on the canvas of its scan.

    Attributes
    ----------
    reconstruction : Reconstruction
        Reconstruction as from ``ptycho infer``.
    shape : (H, W) or None
        Shape of the object passed by the application; None without one.
    """

    reconstruction: Reconstruction
    shape: tuple[int, ...] | None


@attrs.frozen(eq=False)
class BundleModel:
    """A trained network, ready to reconstruct.

    Attributes
    ----------
    bundle : Bundle
        Weights and scaling.
    backend : str
        Name of the backend that runs it.
    """

    bundle: Bundle
    backend: str

    def predict(self, inputs: Sequence[Any]) -> Prediction:
        """Reconstruct the object of a scan: network and stitching in one streaming pass.

        The patches are averaged with the illumination as weight, as in ``ptycho infer``.

        Parameters
        ----------
        inputs
            ``[X * intensity_scale, local_offsets]`` of a `DataContainer`. The factor has no
            effect: the counts of the scan fix the scale.

        Returns
        -------
        Prediction
            For `ptycho.tf_helper.reassemble_position`.

        Raises
        ------
        TypeError
            If the first input is not a `Patterns`.
        ValueError
            If bundle and scan do not match, for example in N.
        """
        patterns = inputs[0] if len(inputs) else None
        if not isinstance(patterns, Patterns):
            got = type(patterns).__name__
            raise TypeError(f"predict: must be given [container.X * scale, offsets], got {got}")
        scan = patterns.scan
        found = reconstruct(self.bundle, scan, patterns.selection, self.backend)
        return Prediction(found, None if scan.object_guess is None else scan.object_guess.shape)


def reconstruct(bundle: Bundle, scan: Scan, selection: Selection, backend: str) -> Reconstruction:
    """Reconstruct a scan with the groups of a selection, adapted to the gridsize of the bundle.

    Raises
    ------
    ValueError
        If bundle and scan do not match: not every architecture accepts patterns of another size.
    """
    gridsize, N = bundle.config["model"]["gridsize"], bundle.config["model"]["N"]
    if scan.N != N:
        log.warning("N: the model was trained with %d pixels, the patterns have %d", N, scan.N)
    if gridsize != selection.gridsize:
        log.warning(
            "gridsize: the settings say %d, the model was trained with %d, which is used",
            selection.gridsize,
            gridsize,
        )
    passes = 1 if gridsize == 1 else selection.samples
    reconstructions = [_one_pass(bundle, scan, selection, backend, seed) for seed in range(passes)]
    return reduce(_combined, reconstructions)


def _one_pass(
    bundle: Bundle, scan: Scan, selection: Selection, backend: str, seed: int
) -> Reconstruction:
    count = max(selection.neighbor_count, bundle.config["model"]["gridsize"] ** 2)
    settings: dict[str, object] = {
        "neighbor_count": min(count, scan.n),
        "subsample_seed": seed,
        "backend": backend,
    }
    resolved = resolve_inference([Layer("override", settings), Layer("bundle", bundle.config)])
    result = require(backend).reconstruct(bundle, scan, resolved.config, resolved.execution)
    rate, misfit = result.patterns_per_second, result.r_factor
    log.info("%d patterns with %s: R-factor %.4f, %.0f per second", scan.n, backend, misfit, rate)
    reconstruction: Reconstruction = result.reconstruction
    return reconstruction


def _combined(one: Reconstruction, other: Reconstruction) -> Reconstruction:
    """Return the mean of two passes over the same patterns, weighted by their coverage."""
    coverage = one.coverage + other.coverage
    total = one.object * one.coverage + other.object * other.coverage
    lit = coverage > 0
    object_ = np.where(lit, total / np.where(lit, coverage, 1), one.object)
    return attrs.evolve(one, object=object_, coverage=coverage)


def place(found: Prediction) -> NDArray[np.complex64]:
    """Place an object on the canvas of the object that the application passed.

    Parameters
    ----------
    found
        The object and the shape of that canvas.

    Returns
    -------
    (H, W) complex64 array
        One where there was no illumination. Parts outside the canvas are cut off, with a
        warning.
    """
    rec = found.reconstruction
    if found.shape is None:
        return rec.object
    canvas = np.ones(found.shape, dtype=np.complex64)
    starts = [int(start) for start in rec.origin[::-1]]  # (x, y) to (row, column)
    both = [_overlap(*axis) for axis in zip(starts, rec.object.shape, found.shape, strict=True)]
    theirs, ours = zip(*both, strict=True)
    canvas[theirs] = rec.object[ours]
    beyond = rec.coverage.copy()
    beyond[ours] = 0
    if beyond.max() > SEEN * rec.coverage.max():
        log.warning(
            "object: cut to the input object, %d x %d pixels; a larger area was illuminated",
            *found.shape,
        )
    return canvas


def _overlap(start: int, length: int, size: int) -> tuple[slice, slice]:
    """Return the slice among `size` pixels of `length` pixels from `start`, and their own slice."""
    low = max(0, start)
    high = max(low, min(size, start + length))
    return slice(low, high), slice(low - start, high - start)
