"""Overlap constraint: merge patches on common canvases and extract them again.

Numerator and denominator carry the same weights, so a canvas of ones stays a canvas of ones.

`ptycho_physics.merge_patches` and `extract_patches` need the shape of a canvas as plain numbers,
for which TensorFlow would retrace a training step for every batch. Here the canvas is flat, its
shape is a tensor, and the indices of the patches are computed once for all merges.
"""

from typing import Any

from attrs import frozen
from ptycho_physics import SMALLEST_WEIGHT

from ptycho_tf.frameworks import tf

Tensor = Any

ALIGNING_SWEEPS = 4


@tf.custom_gradient
def _gather(flat: Tensor, index: Tensor) -> Any:
    """Gather values of a flat canvas; its gradient is `_scatter`."""
    size = tf.shape(flat)[0]
    return tf.gather(flat, index), lambda up: (tf.math.unsorted_segment_sum(up, index, size), None)


@tf.custom_gradient
def _scatter(values: Tensor, index: Tensor, size: Tensor) -> Any:
    """Sum values on a flat canvas; its gradient is `_gather`."""
    total = tf.math.unsorted_segment_sum(values, index, size)
    return total, lambda up: (tf.gather(up, index), None, None)


def _like(values: Tensor, dtype: Any) -> Tensor:
    return tf.complex(values, tf.zeros_like(values)) if dtype.is_complex else values


@frozen(eq=False)
class Placement:
    """Where patches lie on a canvas.

    Attributes
    ----------
    index : (n * (N + 1)**2,) int32
        Pixel of the flat canvas under each pixel of each patch's block of (N + 1, N + 1).
    fx, fy : (n, 1, 1) float32
        Sub-pixel offsets in ``[0, 1)``; between pixels the canvas is interpolated bilinearly.
    shape : (2,) int32
        Shape ``(H, W)`` of the canvas.
    N : int
        Patch size in pixels.
    """

    index: Tensor
    fx: Tensor
    fy: Tensor
    shape: Tensor
    N: int

    @classmethod
    def of(cls, positions: Tensor, shape: Any, N: int) -> "Placement":
        """Place patches of N pixels, centred at ``positions`` (..., 2) as ``(x, y)``.

        Every patch must lie on the canvas of ``shape`` (H, W).
        """
        positions = tf.reshape(positions, (-1, 2))
        shape = tf.cast(tf.convert_to_tensor(shape), tf.int32)
        corner = tf.floor(positions)
        fraction = positions - corner
        offsets = tf.range(N + 1) - N // 2
        first = tf.cast(corner, tf.int32)[:, :, None] + offsets
        # The last row and column have no weight at integer positions and may then lie outside; and
        # a graph may reorder sums, so that a patch at the edge may be rounded to just below it.
        columns = tf.clip_by_value(first[:, 0], 0, shape[1] - 1)
        rows = tf.clip_by_value(first[:, 1], 0, shape[0] - 1)
        index = rows[:, :, None] * shape[1] + columns[:, None, :]
        fx, fy = fraction[:, 0, None, None], fraction[:, 1, None, None]
        return cls(tf.reshape(index, (-1,)), fx, fy, shape, N)

    def merge(self, patches: Tensor) -> Tensor:
        """Sum patches (n, N, N) on a flat canvas (H * W,): the exact adjoint of `extract`."""
        fx, fy = _like(self.fx, patches.dtype), _like(self.fy, patches.dtype)
        right = patches * fx
        wide = _before(patches - right, 2) + _after(right, 2)
        lower = wide * fy
        blocks = tf.reshape(_before(wide - lower, 1) + _after(lower, 1), (-1,))
        return _scatter(blocks, self.index, self.shape[0] * self.shape[1])

    def extract(self, flat: Tensor) -> Tensor:
        """Extract the patches (n, N, N) from a flat canvas (H * W,)."""
        fx, fy = _like(self.fx, flat.dtype), _like(self.fy, flat.dtype)
        blocks = tf.reshape(_gather(flat, self.index), (-1, self.N + 1, self.N + 1))
        rows = blocks[:, :-1] + fy * (blocks[:, 1:] - blocks[:, :-1])
        return rows[:, :, :-1] + fx * (rows[:, :, 1:] - rows[:, :, :-1])

    def weights(self, weight: Tensor) -> Tensor:
        """Sum one weight (N, N) for every patch, on a flat canvas."""
        count = tf.shape(self.fx)[0]
        return self.merge(tf.broadcast_to(weight, (count, self.N, self.N)))

    def agree(self, patches: Tensor, weight: Tensor) -> Tensor:
        """Merge patches (..., N, N) by weighted mean and extract them again."""
        total = self.merge(tf.reshape(patches, (-1, self.N, self.N)) * _like(weight, patches.dtype))
        mean = total / _like(self.weights(weight) + SMALLEST_WEIGHT, patches.dtype)
        return tf.reshape(self.extract(mean), tf.shape(patches))

    def agree_with_others(
        self, patches: Tensor, weight: Tensor, alone: "Placement", share: Tensor
    ) -> Tensor:
        """Return for each group the mean of all groups over its part of the object.

        The group itself gets less weight than the others: see `ptycho_physics.own_share`.

        Parameters
        ----------
        patches : (..., N, N) complex
            Object patches.
        weight : (N, N) float
            Weight of each patch pixel.
        alone
            Places each group on a canvas of its own: `place_apart` with ``whole_pixels``.
        share
            Weight of a group for itself, relative to that of others.
        """
        flat = tf.reshape(patches, (-1, self.N, self.N)) * _like(weight, patches.dtype)
        coverage, less = self.weights(weight), 1 - share
        mean = self.merge(flat) / _like(coverage + SMALLEST_WEIGHT, flat.dtype)
        agreed, own = self.extract(mean), alone.extract(alone.merge(flat))
        own_coverage = alone.extract(alone.weights(weight))
        # (total - less own) / (coverage - less own_coverage), exact where nothing is left out
        others = self.extract(coverage) - less * own_coverage + SMALLEST_WEIGHT
        change = (_like(own_coverage, flat.dtype) * agreed - own) * _like(less / others, flat.dtype)
        return tf.reshape(agreed + change, tf.shape(patches))

    def phases_in_agreement(self, patches: Tensor, weight: Tensor) -> Tensor:
        """Return the phase factor (..., 1, 1) of each patch with which all of them overlap best.

        A pattern does not determine the global phase of its patch, so the network need not predict
        it: each patch in turn is matched to the sum of all, `ALIGNING_SWEEPS` times
        (`ptycho_physics.synchronise` solves this for a whole scan). No gradient flows through the
        result.

        Parameters
        ----------
        patches : (..., N, N) complex
        weight : (N, N) float
        """
        weighted = tf.stop_gradient(tf.reshape(patches, (-1, self.N, self.N)))
        weighted *= _like(tf.stop_gradient(weight), weighted.dtype)
        factors = tf.ones_like(weighted[:, :1, :1])
        for _ in range(ALIGNING_SWEEPS):
            there = self.extract(self.merge(weighted * factors))
            overlap = tf.reduce_sum(tf.math.conj(weighted) * there, axis=(1, 2), keepdims=True)
            modulus = tf.abs(overlap)
            safe = tf.where(modulus > 0, modulus, tf.ones_like(modulus))
            unit = overlap / _like(safe, overlap.dtype)
            factors = tf.where(modulus > 0, unit, tf.ones_like(unit))
        shape = tf.concat([tf.shape(patches)[:-2], [1, 1]], axis=0)
        return tf.stop_gradient(tf.reshape(factors, shape))


def _before(values: Tensor, axis: int) -> Tensor:
    return tf.pad(values, [(0, int(k == axis)) for k in range(3)])


def _after(values: Tensor, axis: int) -> Tensor:
    return tf.pad(values, [(int(k == axis), 0) for k in range(3)])


def place_apart(positions: Tensor, N: int, *, whole_pixels: bool = False) -> Placement:
    """Place groups at ``positions`` (B, C, 2) on canvases stacked vertically.

    The absolute position of a group does not matter. With ``whole_pixels`` groups are moved by
    whole pixels only, which leaves their subpixel interpolation unchanged.
    """
    first = tf.reduce_min(positions, axis=1, keepdims=True)
    local = positions - (tf.floor(first) if whole_pixels else first) + N // 2
    # one spare pixel absorbs rounding when the largest coordinate is close to an integer
    largest = tf.math.ceil(tf.reduce_max(local, axis=(0, 1)))
    size = tf.cast(largest, tf.int32) - N // 2 + N + 1
    groups = tf.shape(positions)[0]
    below = tf.cast(tf.range(groups) * size[1], local.dtype)
    local = local + tf.stack([tf.zeros_like(below), below], axis=-1)[:, None]
    return Placement.of(local, (size[1] * groups, size[0]), N)


@frozen(eq=False)
class GroupCanvases:
    """One small canvas for each group of a batch, stacked vertically on a tall one.

    A group of one pattern has no overlap: every operation is then elementwise.

    Attributes
    ----------
    placement : Placement or None
        Placement on the tall canvas; None for groups of one pattern.
    """

    placement: Placement | None

    @classmethod
    def of(cls, positions: Tensor, N: int) -> "GroupCanvases":
        """Lay out the canvases of groups at ``positions`` (B, C, 2) for patches of N pixels."""
        return cls(None if positions.shape[1] == 1 else place_apart(positions, N))

    def agree(self, patches: Tensor, weight: Tensor) -> Tensor:
        """Make the patches (B, C, N, N) of each group consistent under ``weight`` (N, N)."""
        return patches if self.placement is None else self.placement.agree(patches, weight)

    def precondition(self, gradient: Tensor, light: Tensor, relaxation: float) -> Tensor:
        """Divide summed gradients by the summed illumination, within each group.

        Parameters
        ----------
        gradient : (B, C, N, N) complex
            Back-propagated change of each patch.
        light : (N, N) float
            Illumination of a patch.
        relaxation
            Fraction of the maximum illumination that is added to the denominator.
        """
        strongest = relaxation * tf.reduce_max(light)
        if self.placement is None:
            return gradient / _like((1 - relaxation) * light + strongest, gradient.dtype)
        place = self.placement
        total = place.merge(tf.reshape(gradient, (-1, place.N, place.N)))
        illumination = (1 - relaxation) * place.weights(light) + strongest
        return tf.reshape(
            place.extract(total / _like(illumination, gradient.dtype)), tf.shape(gradient)
        )
