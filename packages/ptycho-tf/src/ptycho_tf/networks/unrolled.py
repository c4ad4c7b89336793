r"""Unrolled phase retrieval: physics steps with learned corrections in between.

The probe is known, so the network need not learn to invert a Fourier transform. From a flat
object it repeats: replace the modulus of the predicted diffraction by the measured one, carry the
change back to the object with the probe's own preconditioner,

.. math:: \Delta O = \frac{\sum_m \bar P_m R_m}{(1 - a) \sum_m |P_m|^2 + a \max \sum_m |P_m|^2}

(the regularised PIE of A. Maiden, D. Johnson and P. Li, *Optica* 4, 736, 2017), and let a U-Net
add what physics alone misses. Patches of a group share one canvas at every step. Because the probe
is an input, a trained network takes any probe.

**Joint stages.** Where ``joint_stages`` asks for it, the patches of the whole batch agree between
the stages, each in the phase in which it overlaps best: what one pattern leaves open, slow phases
first, its neighbours know, and the next stage starts from it. Nothing is done where the batch is so
scattered, on a canvas over `EMPTIEST` times as large as its patches, that hardly any can overlap.

**A guide to the slow phases.** From a flat start the plain step stalls: pixel noise fits a single
pattern as well as the object does. A smooth object has fewer unknowns than a pattern has pixels;
one pixel in each square of `STRIDE` x `STRIDE` holds it. `GUIDE_STEPS` steps from flat find it,
numerator and denominator smoothed alike by Gaussians that shrink from `COARSEST` to `FINEST`
(standard deviations, parts of N), with momentum (Y. Nesterov, 1983), and with the part of the step
that turns the phase taken `PHASE_GAIN` times, because patterns respond more weakly to it. `PULL` of
what the modulus differs from one is taken back: it runs away where there is little light. The guide
carries no gradient and is only looked at.

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

from ptycho_config import ModelConfig
from ptycho_physics import modulus_ratio, probe_intensity, probe_weight
from ptycho_physics.resampling import guide_maps

from ptycho_tf import namespace as xp
from ptycho_tf.frameworks import tf
from ptycho_tf.layout import channels_first, channels_last, positions_of_patterns
from ptycho_tf.networks.base import Network, Tensor
from ptycho_tf.networks.blocks import unet
from ptycho_tf.overlap import GroupCanvases, Placement, place_apart

STAGES = 3
RELAXATION = 0.05
SMALLEST_MODULUS = 3e-4
"""Of a predicted field whose phase is believed, where the rms over a pattern is ``1 / N``: smaller
ones hold rounding, which the measured modulus would blow up (the backends then part at 1e-3)."""
WIDTH_PER_SCALE = 8
PLANES = 9

STRIDE = 4
GUIDE_STEPS = 6
COARSEST, FINEST = 14 / 64, 4 / 64
GUIDE_RELAXATION = 0.3
MOMENTUM = 0.8
PHASE_GAIN = 7.0
PULL = 0.2

EMPTIEST = 8
"""Pixels of a canvas, per pixel of the patches on it, beyond which stages look for no overlap."""

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
    has_stages = True

    def __init__(self, model: ModelConfig, dtype: Any = None) -> None:
        super().__init__()
        self.joint = model.joint_stages
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
        positions = positions_of_patterns(positions)
        canvases = GroupCanvases.of(positions, N)
        coarse = GroupCanvases.of(positions / STRIDE, N // STRIDE)
        # sqrt(counts / mean counts), zero frequency in the corner where the FFT leaves it
        amplitude = tf.signal.ifftshift(x * (2 / N), axes=(-2, -1))
        good = tf.cast(tf.signal.ifftshift(~bad_pixels, axes=(-2, -1)), amplitude.dtype)
        patches = tf.ones_like(_complex(x))
        shown = tf.broadcast_to(_shown(probe), tf.shape(patches))
        light = probe_intensity(probe, xp=xp)
        guide = tf.stop_gradient(_guide(amplitude, good, probe, photons, coarse))
        weight = probe_weight(probe, xp=xp)
        together = place_apart(tf.reshape(positions, (1, -1, 2)), N) if self.joint else None
        for stage, correct in enumerate(self.parts, 1):
            step = canvases.precondition(
                _change(patches, amplitude, good, probe, photons), light, RELAXATION
            )
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
            patches = canvases.agree(patches, weight)
            if together is not None and stage < STAGES:  # after the last one who asked sees to it
                patches = _in_agreement(patches, together, weight)
        return channels_last(patches)


def _complex(real: Tensor) -> Tensor:
    return tf.complex(real, tf.zeros_like(real))


def _in_agreement(patches: Tensor, place: Placement, weight: Tensor) -> Tensor:
    """Let all patches (B, C, N, N) of a batch agree, if they may overlap: see the module."""
    canvas = tf.reduce_prod(tf.cast(place.shape, tf.float32))
    near = canvas <= EMPTIEST * tf.cast(tf.size(patches), tf.float32)

    def agreed() -> Tensor:
        return place.agree(patches * place.phases_in_agreement(patches, weight), weight)

    return tf.cond(near & (tf.shape(patches)[0] > 1), agreed, lambda: tf.identity(patches))


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


def _along_both(matrix: Tensor, field: Tensor) -> Tensor:
    """Multiply complex images (..., n, n) from the left and the right: (..., m, m)."""
    return tf.complex(*(_around(part, matrix) for part in _parts(field)))


def _around(image: Tensor, matrix: Tensor) -> Tensor:
    """Multiply real images likewise; a product of matrices that broadcasts crashes on some CPUs."""
    for _ in range(2):
        image = tf.linalg.matrix_transpose(tf.tensordot(image, matrix, [[-1], [1]]))
    return image


def _guide(
    amplitude: Tensor, good: Tensor, probe: Tensor, photons: Tensor | float, coarse: GroupCanvases
) -> Tensor:
    """Return smooth patches (B, C, N, N) that explain the patterns: see the module.

    ``coarse`` are the canvases of patches of the pixels that hold it.
    """
    N, light = amplitude.shape[-1], probe_intensity(probe, xp=xp)
    maps = guide_maps(N, STRIDE, COARSEST, FINEST, GUIDE_STEPS)
    fine, smoothing = (tf.constant(part) for part in maps)
    guide = tf.ones_like(_complex(amplitude[..., ::STRIDE, ::STRIDE]))
    speed = tf.zeros_like(guide)
    for smooth in tf.unstack(smoothing):
        ahead = guide + MOMENTUM * speed
        _, frame = _frame(ahead)
        there = _along_both(fine, ahead)
        change = _along_both(smooth, _change(there, amplitude, good, probe, photons))
        lit = _around(light, smooth)
        step = coarse.precondition(change, lit, GUIDE_RELAXATION) * tf.math.conj(frame)
        real, imag = _parts(step)
        after = ahead + tf.complex(real, PHASE_GAIN * imag) * frame
        after += PULL * (_frame(after)[1] - after)
        guide, speed = after, after - guide
    return _along_both(fine, guide)


def _change(
    patches: Tensor, amplitude: Tensor, good: Tensor, probe: Tensor, photons: Tensor | float
) -> Tensor:
    """Return what measured moduli change of the patches' waves, seen through the probe."""
    fields = xp.fft.fftn(tf.expand_dims(patches, -3) * probe, axes=(-2, -1), norm="ortho")
    power = tf.reduce_sum(_power(fields), axis=-3)
    ratio = modulus_ratio(power, amplitude, photons, smallest=SMALLEST_MODULUS, xp=xp) * good
    change = fields * tf.expand_dims(_complex(ratio), -3)
    residual = xp.fft.ifftn(change, axes=(-2, -1), norm="ortho")
    return tf.reduce_sum(tf.math.conj(probe) * residual, axis=-3)
