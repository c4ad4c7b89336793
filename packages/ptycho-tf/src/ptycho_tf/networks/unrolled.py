r"""Unrolled phase retrieval: physics steps with learned corrections in between.

The probe is known, so the network need not learn to invert a Fourier transform. From a flat
object it repeats: replace the modulus of the predicted diffraction by the measured one, carry the
change back to the object with the probe's own preconditioner,

.. math:: \Delta O = \frac{\sum_m \bar P_m R_m}{(1 - a) \sum_m |P_m|^2 + a \max \sum_m |P_m|^2}

(the regularised PIE of A. Maiden, D. Johnson and P. Li, *Optica* 4, 736, 2017), and let a U-Net
add what physics alone misses. Patches of a group share one canvas at every step. Because the probe
is an input, a trained network takes any probe.

**A guide to the slow phases.** From a flat start the plain step stalls: pixel noise fits a single
pattern as well as the object does. A smooth object has fewer unknowns than a pattern has pixels.
`GUIDE_STEPS` steps from flat find it, numerator and denominator smoothed alike by Gaussians that
shrink from `COARSEST` to `FINEST` (standard deviations, parts of N), with momentum (Y. Nesterov,
1983), and with the part of the step that turns the phase taken `PHASE_GAIN` times, because patterns
respond more weakly to it. The guide carries no gradient and is only looked at.

**The frame of the object.** A phase factor on the object changes no pattern, so a network should
not depend on it: what it learned where the mean phase was one must hold where it is another. With
:math:`u = O / \sqrt{|O|^2 + \epsilon^2}` and the guide G a U-Net sees the real planes

    |O|,  Re(dO u*),  Im(dO u*),  Im(u_right u_left*),  Im(u_below u_above*),  Re(P),  Im(P),
    Re(G u*),  Im(G u*)

in this order, where ``|O|`` stands for the root above, neighbours are those of each pixel in the
patch taken as periodic, and P is the strongest mode at unit maximum with its brightest part at
phase zero. What it returns, ``a`` and ``b``, is added as ``(a + i b) u``.
"""

import math
from typing import Any

import numpy as np
from ptycho_config import ModelConfig
from ptycho_physics import modulus_ratio, probe_intensity, probe_weight

from ptycho_tf import namespace as xp
from ptycho_tf.frameworks import tf
from ptycho_tf.layout import channels_first, channels_last, positions_of_patterns
from ptycho_tf.networks.base import Network, Tensor
from ptycho_tf.networks.blocks import unet
from ptycho_tf.overlap import GroupCanvases

STAGES = 3
RELAXATION = 0.05
SMALLEST_MODULUS = 3e-4
"""Of a predicted field whose phase is believed, where the rms over a pattern is ``1 / N``: smaller
ones hold rounding, which the measured modulus would blow up (the backends then part at 1e-3)."""
WIDTH_PER_SCALE = 8
PLANES = 9

GUIDE_STEPS = 12
COARSEST, FINEST = 14 / 64, 4 / 64
MOMENTUM = 0.95
PHASE_GAIN = 3.0

SMALLEST_OBJECT = 0.1
"""The epsilon of the object's frame, where an object that does not absorb is one."""


class Unrolled(Network):
    """See the module's description.

    Parameters
    ----------
    model
        ``n_filters_scale`` sets the width of the U-Nets; any ``N`` and ``gridsize`` will do.
    dtype
        Number format of the convolutions, as Keras names it.
    """

    recommended_scheduler = "WarmupCosine"
    any_size = True

    def __init__(self, model: ModelConfig, dtype: Any = None) -> None:
        super().__init__()
        width, shape = WIDTH_PER_SCALE * model.n_filters_scale, (model.N, model.N, PLANES)
        self.parts = [
            unet(shape, 2, width, name=f"corrections.{k}", dtype=dtype) for k in range(STAGES)
        ]

    def call(
        self,
        x: Tensor,
        positions: Tensor,
        probe: Tensor,
        bad_pixels: Tensor,
        photons: Tensor | float = math.inf,
    ) -> Tensor:
        """Reconstruct the patches of a batch of groups: see `Network.call`."""
        N = x.shape[1]
        x = channels_first(x)
        canvases = GroupCanvases.of(positions_of_patterns(positions), N)
        # sqrt(counts / mean counts), zero frequency in the corner where the FFT leaves it
        amplitude = tf.signal.ifftshift(x * (2 / N), axes=(-2, -1))
        good = tf.cast(tf.signal.ifftshift(~bad_pixels, axes=(-2, -1)), amplitude.dtype)
        patches = tf.ones_like(_complex(x))
        shown = tf.broadcast_to(_shown(probe), tf.shape(patches))
        guide = tf.stop_gradient(_guide(patches, amplitude, good, probe, canvases, photons))
        for correct in self.parts:
            step = _step(patches, amplitude, good, probe, canvases, photons)
            patches = patches + step
            size, frame = _frame(patches)
            across, down = (_slope(frame, axis) for axis in (-1, -2))
            back = tf.math.conj(frame)
            planes = [size, *_parts(step * back), across, down, *_parts(shown)]
            planes += _parts(guide * back)
            image = tf.stack([tf.reshape(plane, (-1, N, N)) for plane in planes], axis=-1)
            change = tf.cast(correct(image), tf.float32)
            change = tf.complex(change[..., 0], change[..., 1])
            patches = patches + tf.reshape(change, tf.shape(patches)) * frame
            patches = canvases.agree(patches, probe_weight(probe, xp=xp))
        return channels_last(patches)


def _complex(real: Tensor) -> Tensor:
    return tf.complex(real, tf.zeros_like(real))


def _parts(field: Tensor) -> tuple[Tensor, Tensor]:
    return tf.math.real(field), tf.math.imag(field)


def _power(field: Tensor) -> Tensor:
    real, imag = _parts(field)
    return real * real + imag * imag


def _frame(patches: Tensor) -> tuple[Tensor, Tensor]:
    """Return modulus and phase factor of patches, both tame where the object is dark."""
    size = tf.sqrt(_power(patches) + SMALLEST_OBJECT**2)
    return size, patches / _complex(size)


def _slope(frame: Tensor, axis: int) -> Tensor:
    """Return the sine of the phase difference of the two neighbours of each pixel."""
    return tf.math.imag(tf.roll(frame, -1, axis) * tf.math.conj(tf.roll(frame, 1, axis)))


def _shown(probe: Tensor) -> Tensor:
    """Return the strongest mode (N, N) at unit maximum, as the U-Nets see it.

    The phase of a probe is a matter of taste: its brightest part is shown at phase zero.
    """
    strongest = probe[tf.argmax(tf.reduce_sum(_power(probe), axis=(-2, -1)))]
    size = tf.abs(strongest)
    phase = tf.reduce_sum(strongest * _complex(size))
    length = tf.maximum(tf.abs(phase), SMALLEST_MODULUS) * tf.reduce_max(size)
    return strongest * (tf.math.conj(phase) / _complex(length))


def _smoothed(field: Tensor, sigma: float) -> Tensor:
    """Convolve fields (..., N, N), taken as periodic, with a Gaussian of ``sigma`` pixels."""
    q = np.fft.fftfreq(field.shape[-1])
    transfer = np.exp(-2 * (math.pi * sigma) ** 2 * (q**2 + q[:, None] ** 2))
    return tf.signal.ifft2d(tf.signal.fft2d(field) * tf.constant(transfer, field.dtype))


def _guide(
    patches: Tensor,
    amplitude: Tensor,
    good: Tensor,
    probe: Tensor,
    canvases: GroupCanvases,
    photons: Tensor | float = math.inf,
) -> Tensor:
    """Return smooth patches (B, C, N, N) that explain the patterns: see the module."""
    speed = tf.zeros_like(patches)
    for k in range(GUIDE_STEPS):
        sigma = COARSEST * (FINEST / COARSEST) ** (k / (GUIDE_STEPS - 1)) * patches.shape[-1]
        ahead = patches + MOMENTUM * speed
        _, frame = _frame(ahead)
        step = _step(ahead, amplitude, good, probe, canvases, photons, sigma) * tf.math.conj(frame)
        real, imag = _parts(step)
        after = ahead + tf.complex(real, PHASE_GAIN * imag) * frame
        patches, speed = after, after - patches
    return patches


def _step(
    patches: Tensor,
    amplitude: Tensor,
    good: Tensor,
    probe: Tensor,
    canvases: GroupCanvases,
    photons: Tensor | float = math.inf,
    sigma: float = 0.0,
) -> Tensor:
    """Return the physics step (B, C, N, N) of every patch, agreed within groups.

    It is smoothed by a Gaussian of ``sigma`` pixels, if any.
    """
    fields = xp.fft.fftn(tf.expand_dims(patches, -3) * probe, axes=(-2, -1), norm="ortho")
    power = tf.reduce_sum(_power(fields), axis=-3)
    ratio = modulus_ratio(power, amplitude, photons, smallest=SMALLEST_MODULUS, xp=xp) * good
    change = fields * tf.expand_dims(_complex(ratio), -3)
    residual = xp.fft.ifftn(change, axes=(-2, -1), norm="ortho")
    gradient = tf.reduce_sum(tf.math.conj(probe) * residual, axis=-3)
    light = probe_intensity(probe, xp=xp)
    if sigma:
        gradient = _smoothed(gradient, sigma)
        light = tf.math.real(_smoothed(_complex(light), sigma))
    return canvases.precondition(gradient, light, RELAXATION)
