"""Overlap constraint: merge patches on common canvases and extract them again.

Numerator and denominator carry the same weights, so a canvas of ones stays a canvas of ones.
"""

import torch
from attrs import frozen
from ptycho_physics import SMALLEST_WEIGHT
from torch import Tensor

from ptycho_torch.patch_autograd import extract_patches, merge_patches

ALIGNING_SWEEPS = 4


def weighted_sums(
    patches: Tensor,
    positions: Tensor,
    weight: Tensor,
    shape: tuple[int, int],
    onto: tuple[Tensor | None, Tensor | None] = (None, None),
) -> tuple[Tensor, Tensor]:
    """Merge weighted patches, and their weights, on one canvas.

    Parameters
    ----------
    patches : (..., N, N) complex
        Object patches.
    positions : (..., 2) float
        Patch centres ``(x, y)`` on the canvas.
    weight : (N, N) float
        Weight of each patch pixel.
    shape
        Canvas shape ``(H, W)``.
    onto
        Total and coverage so far, which are updated in place.

    Returns
    -------
    total : (H, W) complex
    coverage : (H, W) float
    """
    total = merge_patches(patches * weight, positions, shape, onto=onto[0])
    coverage = merge_patches(weight.expand(patches.shape), positions, shape, onto=onto[1])
    return total, coverage


def agree(patches: Tensor, positions: Tensor, weight: Tensor, shape: tuple[int, int]) -> Tensor:
    """Merge patches on one canvas by weighted mean and extract them again.

    Parameters and shapes are those of `weighted_sums`; returns patches of the same shape.
    """
    total, coverage = weighted_sums(patches, positions, weight, shape)
    return extract_patches(total / (coverage + SMALLEST_WEIGHT), positions, patches.shape[-1])


@torch.no_grad()
def phases_in_agreement(
    patches: Tensor, positions: Tensor, weight: Tensor, shape: tuple[int, int]
) -> Tensor:
    """Return the phase factor (..., 1, 1) of each patch with which all of them overlap best.

    A pattern does not determine the global phase of its patch, so the network need not predict it:
    each patch in turn is matched to the sum of all, `ALIGNING_SWEEPS` times
    (`ptycho_physics.synchronise` solves this for a whole scan). No gradient flows through the
    result.

    Parameters and shapes are those of `weighted_sums`.
    """
    weighted = patches * weight
    factors = torch.ones_like(patches[..., :1, :1])
    for _ in range(ALIGNING_SWEEPS):
        total = merge_patches(weighted * factors, positions, shape)
        there = extract_patches(total, positions, patches.shape[-1])
        overlap = (weighted.conj() * there).sum(dim=(-2, -1), keepdim=True)
        factors = torch.where(overlap.abs() > 0, overlap.sgn(), 1.0)
    return factors


@frozen(eq=False)
class GroupCanvases:
    """One small canvas for each group of a batch, stacked vertically on a tall one.

    A group of one pattern has no overlap: every operation is then elementwise.

    Attributes
    ----------
    positions : (B, C, 2) float
        Patch centres on the tall canvas.
    shape : (int, int)
        Shape of the tall canvas.
    """

    positions: Tensor
    shape: tuple[int, int]

    @classmethod
    def of(cls, positions: Tensor, N: int, *, whole_pixels: bool = False) -> "GroupCanvases":
        """Lay out the canvases of groups at ``positions`` (B, C, 1, 2) for patches of N pixels.

        The absolute position of a group does not matter. With ``whole_pixels`` groups are moved by
        whole pixels only, which leaves their subpixel interpolation unchanged.
        """
        local = positions.squeeze(-2)
        first = local.amin(dim=1, keepdim=True)
        local = local - (first.floor() if whole_pixels else first) + N // 2
        # one spare pixel absorbs rounding when the largest coordinate is close to an integer
        width, height = (local.amax(dim=(0, 1)).ceil().long() - N // 2 + N + 1).tolist()
        below = torch.arange(len(local), device=local.device, dtype=local.dtype) * height
        local = local + torch.stack([torch.zeros_like(below), below], dim=-1)[:, None]
        return cls(local, (height * len(local), width))

    @property
    def single(self) -> bool:
        """Whether each group is one pattern."""
        return self.positions.shape[1] == 1

    def agree(self, patches: Tensor, weight: Tensor) -> Tensor:
        """Make the patches (B, C, N, N) of each group consistent under ``weight`` (N, N)."""
        if self.single:
            return patches
        return agree(patches, self.positions, weight, self.shape)

    def agree_in_phase(self, patches: Tensor, weight: Tensor) -> Tensor:
        """`agree`, after matching the phases of the patches: see `phases_in_agreement`."""
        phases = phases_in_agreement(patches, self.positions, weight, self.shape)
        return self.agree(patches * phases, weight)

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
        if self.single:
            return gradient * (1 / ((1 - relaxation) * light + relaxation * light.max()))
        total = merge_patches(gradient, self.positions, self.shape)
        lit = merge_patches(light.expand(gradient.shape), self.positions, self.shape)
        step = total / ((1 - relaxation) * lit + relaxation * light.max())
        return extract_patches(step, self.positions, gradient.shape[-1])


def agree_with_others(
    patches: Tensor, positions: Tensor, weight: Tensor, shape: tuple[int, int], share: Tensor
) -> Tensor:
    """Return for each group the mean of all groups over its part of the object.

    The group itself gets less weight than the others: see `ptycho_physics.own_share`.

    Parameters
    ----------
    patches : (B, C, N, N) complex
        Object patches.
    positions : (B, C, 1, 2) float
        Patch centres ``(x, y)`` on the canvas.
    weight : (N, N) float
        Weight of each patch pixel.
    shape
        Canvas shape ``(H, W)``.
    share
        Weight of a group for itself, relative to that of others.
    """
    N, where, less = patches.shape[-1], positions.squeeze(-2), 1 - share
    total, coverage = weighted_sums(patches, where, weight, shape)
    agreed = extract_patches(total / (coverage + SMALLEST_WEIGHT), where, N)
    alone = GroupCanvases.of(positions, N, whole_pixels=True)
    own, own_coverage = (
        extract_patches(part, alone.positions, N)
        for part in weighted_sums(patches, alone.positions, weight, alone.shape)
    )
    # (total - less own) / (coverage - less own_coverage), exact where nothing is left out
    others = extract_patches(coverage, where, N) - less * own_coverage + SMALLEST_WEIGHT
    return agreed + less * (own_coverage * agreed - own) / others
