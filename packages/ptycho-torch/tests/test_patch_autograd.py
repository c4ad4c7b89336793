"""Gradients by the adjoints against finite differences."""

import pytest
import torch
from ptycho_torch.patch_autograd import extract_patches, merge_patches

N = 8


def field(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.complex128, generator=generator)


@pytest.fixture
def positions():
    return torch.tensor([[5.3, 6.6], [7.0, 5.2], [6.1, 7.9]], dtype=torch.float64)


def test_extract_and_merge_pass_gradcheck(positions):
    canvas = field(14, 15).requires_grad_()
    patches = field(3, N, N).requires_grad_()
    assert torch.autograd.gradcheck(lambda c: extract_patches(c, positions, N), canvas)
    assert torch.autograd.gradcheck(lambda p: merge_patches(p, positions, (14, 15)), patches)


def test_positions_keep_their_gradient(positions):
    where = positions.requires_grad_()
    extract_patches(field(14, 15), where, N).abs().sum().backward()
    assert where.grad.abs().min() > 0
