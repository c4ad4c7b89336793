"""Data augmentation: training batches simulated from mirrored reconstructions.

A short scan contains few shapes, to which a network overfits. The forward model simulates new
patterns from rotated and mirrored patches of the current reconstruction, which need not be correct,
because the simulated patterns are exact for it in any case. The probe is not changed.
"""

import torch
from ptycho_physics import SYMMETRIES, apply_symmetry, apply_symmetry_to_positions
from torch import Tensor

from ptycho_torch.data import Batch
from ptycho_torch.model import PtychoModel


@torch.no_grad()
def synthetic_batch(model: PtychoModel, batch: Batch, patches: Tensor, seed: int) -> Batch:
    """Return a batch of simulated patterns of an object that the model has reconstructed.

    Parameters
    ----------
    model
        Model whose probe is used.
    batch
        The batch that was reconstructed.
    patches : (B, C, N, N) complex64
        Reconstructed patches, consistent where they overlap.
    seed
        Seed of orientation and photon noise.

    Returns
    -------
    Batch
        Like ``batch``, with new counts, positions and canvas, and the truth rotated likewise.
    """
    N = patches.shape[-1]
    orientation = 1 + seed % (SYMMETRIES - 1)
    generator = torch.Generator(patches.device).manual_seed(seed)
    rate = model.predict_counts(apply_symmetry(patches, orientation).contiguous(), batch["photons"])
    made: Batch = {
        name: apply_symmetry_to_positions(batch[name], orientation)
        for name in ("positions", "apart")
        if name in batch
    }
    positions = made["positions"]
    positions = positions - positions.amin(dim=(0, 1, 2)).floor() + N // 2
    width, height = (positions.amax(dim=(0, 1, 2)).ceil().long() - N // 2 + N + 1).tolist()
    counts = torch.poisson(rate, generator=generator)
    made |= {"counts": counts, "positions": positions, "canvas": (height, width)}
    for name in ("truth", "start", "light"):
        if name in batch:
            made[name] = apply_symmetry(batch[name], orientation).contiguous()
    return {**batch, **made}
