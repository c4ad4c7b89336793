r"""Detectors whose pixels are too coarse for the probe.

A pattern sampled every :math:`\lambda z / W` says all of a wave of the width :math:`W`. The waves
of a wider beam need a grid that is :math:`s` times finer on the detector, which is one of patches
that are :math:`s` times wider, with the same pixel of the object. A pixel of the detector counts
what falls on :math:`s \times s` pixels of the waves (D. J. Batey et al., *Phys. Rev. A* 89, 043812,
2014).

They lie around the centre of the pixel of the detector, where zero frequency is in the centre of
pixel ``[N//2, N//2]``: for even :math:`s` half-way between the frequencies of an FFT. A phase ramp
of the wave moves them there.
"""

from typing import Any

import numpy as np
from attrs import frozen
from ptycho_config.errors import InvalidValueError, describe

from ptycho_physics._namespace import Array, as_like, complex_dtype, fft2, ifft2

FINEST = 8
"""Most pixels of the waves along a side of one of the detector."""


def check_sampling(sampling: int) -> None:
    """Refuse what is no number of pixels along a side.

    Raises
    ------
    InvalidValueError
        If it is out of its range.
    """
    if not isinstance(sampling, int | np.integer) or not 1 <= sampling <= FINEST:
        rule = f"a whole number from 1 to {FINEST}"
        raise InvalidValueError("detector_sampling", rule, describe(sampling))


@frozen(eq=False)
class SampledFarField:
    """The far field of a thin object on a grid that is finer than the detector.

    Attributes
    ----------
    ramp : (sN, sN) complex array
        On the wave, for probes that `centring` has multiplied.
    """

    ramp: Array

    @classmethod
    def of(cls, sampling: int, size: int, like: Array, xp: Any) -> "SampledFarField":
        """Prepare the propagation of waves of ``size`` pixels, ``sampling`` per detector pixel."""
        N = size // sampling
        # from the frequencies of the FFT, in its steps, to those around the detector's pixels
        step = size // 2 - sampling * (N // 2) - (sampling - 1) / 2
        turns = np.exp(-2j * np.pi * step / size * (np.arange(size) - size // 2))
        ramp = xp.asarray(turns * turns[:, None], dtype=complex_dtype(like, xp))
        return cls(as_like(ramp, like, xp))

    def forward(self, patches: Array, probe: Array, xp: Any) -> tuple[Array, None]:
        """As `Propagator.forward`, with waves of (sN, sN) pixels."""
        return fft2(xp.expand_dims(patches, axis=1) * (probe * self.ramp), xp), None

    def backward(
        self,
        change: Array,
        patches: Array,
        probe: Array,
        kept: None,  # noqa: ARG002 - a thin object keeps nothing of the way there
        xp: Any,
        *,
        probe_too: bool,
    ) -> tuple[Array, Array | None]:
        """As `Propagator.backward`."""
        residual = ifft2(change, xp)
        residual *= xp.conj(self.ramp)
        on_probe = xp.conj(xp.expand_dims(patches, axis=1)) * residual if probe_too else None
        return xp.sum(xp.conj(probe) * residual, axis=1), on_probe


def collected(light: Array, sampling: int, xp: Any) -> Array:
    """Return what the pixels of a detector count (..., N, N) of light (..., sN, sN)."""
    if sampling == 1:
        return light
    *first, rows, columns = light.shape
    rows, columns = rows // sampling, columns // sampling
    # one axis after the other: whole rows are added fast
    light = xp.sum(xp.reshape(light, (*first, rows, sampling, columns * sampling)), axis=-2)
    return xp.sum(xp.reshape(light, (*first, rows, columns, sampling)), axis=-1)


def scale(fields: Array, factor: Array, sampling: int, xp: Any) -> Array:
    """Multiply waves (b, M, sN, sN) by a factor (b, N, N) of the pixels that they fall on.

    The waves may be overwritten.
    """
    shape = fields.shape
    if sampling > 1:
        N = factor.shape[-1]
        fields = xp.reshape(fields, (*shape[:2], N, sampling, N, sampling))
        factor = factor[:, :, None, :, None]
    fields *= factor[:, None]
    return xp.reshape(fields, shape)


def widened(probe: Array, size: int, xp: Any) -> Array:
    """Return a probe (M, N, N) amid darkness, of (M, size, size) pixels."""
    N = probe.shape[-1]
    if size == N:
        return probe
    first = size // 2 - N // 2
    inner = slice(first, first + N)
    wide = as_like(xp.zeros((probe.shape[0], size, size), dtype=probe.dtype), probe, xp)
    wide[:, inner, inner] = probe
    return wide
