"""Hand-written gradients against those that PyTorch finds by itself."""

import ptycho_physics as physics
import pytest
import torch
from ptycho_torch.forward import extract_patches, merge_patches, patches_deviance

N = 8


def field(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.complex128, generator=generator)


@pytest.fixture
def positions():
    return torch.tensor([[5.3, 6.6], [7.0, 5.2], [6.1, 7.9]], dtype=torch.float64)


@pytest.fixture
def counts():
    return torch.randint(0, 30, (3, N, N), generator=torch.Generator().manual_seed(3)).double()


def test_extract_and_merge_pass_gradcheck(positions):
    canvas = field(14, 15).requires_grad_()
    patches = field(3, N, N).requires_grad_()
    assert torch.autograd.gradcheck(lambda c: extract_patches(c, positions, N), canvas)
    assert torch.autograd.gradcheck(lambda p: merge_patches(p, positions, (14, 15)), patches)


def test_positions_keep_their_gradient(positions):
    where = positions.requires_grad_()
    extract_patches(field(14, 15), where, N).abs().sum().backward()
    assert where.grad.abs().min() > 0


@pytest.mark.parametrize("modes", [1, 2])
@pytest.mark.parametrize("background", [0.0, 0.25])
@pytest.mark.parametrize("trained", [False, True])
def test_deviance_and_gradients_equal_those_of_the_plain_way(counts, modes, background, trained):
    probe = physics.normalise_probe(field(modes, N, N, seed=1)).requires_grad_(trained)
    mask = torch.zeros(N, N, dtype=torch.bool)
    mask[2, 3] = True
    photons = torch.tensor([800.0, 1000.0, 900.0], dtype=torch.float64)[:, None, None]
    weights = torch.tensor([1.0, 3.0, 0.5], dtype=torch.float64)

    def plain(patches, log_scale):
        rate = physics.expected_counts(patches, probe, torch.exp(2 * log_scale) * photons)
        return physics.poisson_deviance(rate + background, counts + background, mask)

    def quick(patches, log_scale):
        return patches_deviance(
            patches, probe, counts, photons, log_scale, mask, background=background
        )

    found = []
    for way in (plain, quick):
        patches = field(3, N, N, seed=2).requires_grad_()
        log_scale = torch.tensor(0.1, dtype=torch.float64, requires_grad=True)
        values = way(patches, log_scale)
        inputs = (patches, log_scale, probe) if trained else (patches, log_scale)
        found.append((values, *torch.autograd.grad((weights * values).sum(), inputs)))
    for expected, value in zip(*found, strict=True):
        torch.testing.assert_close(value, expected, rtol=1e-9, atol=1e-9)
