import numpy as np
import pytest
import torch
from ptycho_config import ModelConfig
from ptycho_physics import extract_patches, intensity, normalise_probe, probe_intensity, unrolled
from ptycho_physics.metrics import complex_correlation
from ptycho_torch.networks import build_network
from ptycho_torch.overlap import GroupCanvases, phases_in_agreement


@pytest.fixture
def network():
    return build_network(ModelConfig(architecture="unrolled", n_filters_scale=1)).eval()


def misfit(patches, x, probe):
    predicted = intensity(patches, probe).sqrt()
    return float((predicted - x / 32).abs().sum() / (x / 32).sum())


def test_untrained_it_is_a_physical_solver(network, patterns):
    x, positions, probe, bad = patterns(1, B=8)
    with torch.no_grad():
        solved = network(x, positions, probe, bad)
    assert misfit(solved, x, probe) < 0.5 * misfit(torch.ones_like(solved), x, probe)


def test_few_photons_do_not_darken_the_true_object(scan, patterns):
    _, positions, probe, _ = patterns(1, B=8)
    truth = extract_patches(scan.object_guess, scan.positions[np.arange(8) * 5], 64)
    truth, photons = torch.from_numpy(truth)[:, None], 2e2
    truth /= intensity(truth, probe).sum((-2, -1)).mean().sqrt()
    rate = photons * intensity(truth, probe)
    counts = torch.poisson(rate, generator=torch.Generator().manual_seed(0))
    amplitude = torch.fft.ifftshift((counts / photons).sqrt(), dim=(-2, -1))
    canvases, light = GroupCanvases.of(positions, 64), probe.abs().square().sum(0)

    def brightening(dose):
        step = canvases.precondition(
            unrolled.modulus_residual(truth, amplitude, torch.ones(64, 64), probe, dose),
            probe_intensity(probe),
            unrolled.RELAXATION,
        )
        return float(((step * truth.conj()).real * light).sum(dim=(-2, -1)).mean())

    assert brightening(np.inf) < -0.2
    assert abs(brightening(photons)) < 0.08


def test_the_truth_explains_its_own_patterns_in_the_networks_units(scan, patterns):
    x, _, probe, _ = patterns(1, B=8)
    truth = extract_patches(scan.object_guess, scan.positions[np.arange(8) * 5], 64)
    truth = torch.from_numpy(truth)[:, None]
    gain = (x / 32).square().sum() / intensity(truth, probe).sum()
    assert misfit(truth * gain.sqrt(), x, probe) < 0.12  # what the noise leaves


def test_patches_of_a_group_agree_where_they_overlap(patterns):
    network = build_network(
        ModelConfig(architecture="unrolled", gridsize=2, n_filters_scale=1)
    ).eval()
    for layer in network.corrections:  # corrections that would tear the patches apart
        torch.nn.init.normal_(layer.last.weight, std=0.3)
    x, positions, probe, bad = patterns(4, B=1)
    positions = torch.tensor([[[[40.0, 40.0]], [[44.0, 40.0]], [[40.0, 46.0]], [[44.0, 46.0]]]])
    with torch.no_grad():
        first, right, below, _ = network(x, positions, probe, bad)[0]
    torch.testing.assert_close(first[:, 4:], right[:, :-4], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(first[6:], below[:-6], rtol=1e-4, atol=1e-4)


def test_it_runs_at_another_size_than_it_was_built_for(network):
    probe = normalise_probe(torch.randn(1, 128, 128, dtype=torch.complex64))
    bad = torch.zeros(128, 128, dtype=torch.bool)
    patches = network(torch.rand(1, 1, 128, 128), torch.full((1, 1, 1, 2), 64.0), probe, bad)
    assert patches.shape == (1, 1, 128, 128)


def test_gradients_reach_every_weight_but_none_is_lost(network, patterns):
    for layer in network.corrections:
        torch.nn.init.normal_(layer.last.weight, std=0.01)
    x, positions, probe, bad = patterns(1)
    network(x, positions, probe, bad).abs().square().sum().backward()
    for name, weight in network.named_parameters():
        assert weight.grad is not None, name
        assert torch.isfinite(weight.grad).all(), name
        assert weight.grad.abs().sum() > 0, name


def test_the_phase_of_the_probe_does_not_matter(network, patterns):
    for layer in network.corrections:
        torch.nn.init.normal_(layer.last.weight, std=0.02)
    x, positions, probe, bad = patterns(1)
    turned = probe * complex(np.exp(1.3j))
    with torch.no_grad():
        difference = network(x, positions, turned, bad) - network(x, positions, probe, bad)
    # the mean: single pixels of dim light carry rounding
    assert float(difference.abs().mean()) < 1e-3


def low_resolution(amplitude, probe, positions):
    canvases = GroupCanvases.of(positions / unrolled.STRIDE, 64 // unrolled.STRIDE)
    good = torch.ones(64, 64)
    return unrolled.low_resolution_estimate(amplitude, good, probe, np.inf, canvases)


def test_the_low_resolution_estimate_finds_what_plain_steps_do_not(scan, patterns):
    x, positions, probe, _ = patterns(1, B=8)
    truth = extract_patches(scan.object_guess, scan.positions[np.arange(8) * 5], 64)
    amplitude = torch.fft.ifftshift(x / 32, dim=(-2, -1))
    canvases, good = GroupCanvases.of(positions, 64), torch.ones(64, 64)
    plain = torch.ones(x.shape, dtype=torch.complex64)
    for _ in range(unrolled.ESTIMATE_STEPS):
        change = unrolled.modulus_residual(plain, amplitude, good, probe, np.inf)
        plain = plain + canvases.precondition(change, probe_intensity(probe), unrolled.RELAXATION)
    estimate = low_resolution(amplitude, probe, positions)
    lit = np.abs(scan.probe[0])

    def score(patches):
        pairs = zip(patches[:, 0].numpy(), truth, strict=True)
        return np.mean([complex_correlation(one * lit, two * lit) for one, two in pairs])

    assert 1 - score(estimate) < 0.8 * (1 - score(plain))


def test_the_low_resolution_estimate_is_smooth(patterns):
    x, positions, probe, _ = patterns(1, B=2)
    amplitude = torch.fft.ifftshift(x / 32, dim=(-2, -1))
    estimate = low_resolution(amplitude, probe, positions)
    power = torch.fft.fftshift(torch.fft.fft2(estimate), dim=(-2, -1)).abs().square().mean((0, 1))
    assert power[24:41, 24:41].sum() > 0.999 * power.sum()


def test_the_estimates_of_a_group_agree(patterns):
    """Patches of a group at whole coarse pixels from each other hold the same object."""
    x, _, probe, _ = patterns(4, B=1)
    positions = torch.tensor([[[[40.0, 40.0]], [[48.0, 40.0]], [[40.0, 52.0]], [[48.0, 52.0]]]])
    amplitude = torch.fft.ifftshift(x / 32, dim=(-2, -1))
    estimate = low_resolution(amplitude, probe, positions)
    first, right, below, _ = estimate[0, :, ::4, ::4]
    torch.testing.assert_close(first[:, 2:], right[:, :-2], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(first[3:], below[:-3], rtol=1e-3, atol=1e-3)


def test_the_low_resolution_estimate_does_not_diverge_where_there_is_no_illumination(patterns):
    x, positions, probe, _ = patterns(1, B=8)
    amplitude = torch.fft.ifftshift(x / 32, dim=(-2, -1))
    estimate = low_resolution(amplitude, probe, positions)
    assert float(estimate.abs().max()) < 2
    assert float(estimate.abs().min()) > 0.3


def test_the_frame_turns_with_the_object():
    patches = torch.randn(1, 1, 16, 16, dtype=torch.complex64)
    turn = complex(np.exp(0.7j))
    modulus, factor = unrolled.modulus_and_phase_factor(patches)
    same, turned = unrolled.modulus_and_phase_factor(patches * turn)
    torch.testing.assert_close(same, modulus)
    torch.testing.assert_close(turned, factor * turn)
    for axis in (-1, -2):  # phase differences stay as they are
        turned_difference = unrolled.phase_difference(turned, axis)
        difference = unrolled.phase_difference(factor, axis)
        torch.testing.assert_close(turned_difference, difference, atol=1e-6, rtol=1e-5)


def torn(joint):
    """Return a network whose corrections tear overlapping patches apart."""
    torch.manual_seed(3)
    model = ModelConfig(architecture="unrolled", n_filters_scale=1, joint_stages=joint)
    network = build_network(model).eval()
    for layer in network.corrections:
        torch.nn.init.normal_(layer.last.weight, std=0.03)
    return network


@torch.no_grad()
def test_joint_stages_bring_patches_of_a_batch_together(patterns):
    x, positions, probe, bad = patterns(1, B=8)
    weight = probe.abs().square().sum(0)

    def disagreement(patches):
        canvas = GroupCanvases.of(positions.reshape(1, -1, 1, 2), 64)
        patches = patches.view(1, -1, 64, 64)
        difference = canvas.agree_in_phase(patches, weight) - patches * phases_in_agreement(
            patches, canvas.positions, weight, canvas.shape
        )
        return float((difference.abs() * weight).mean())

    alone, joint = (torn(joined)(x, positions, probe, bad) for joined in (False, True))
    assert disagreement(joint) < 0.9 * disagreement(alone)
    order = [3, 1, 7, 0, 2, 6, 5, 4]
    again = torn(joint=True)(x[order], positions[order] + 700, probe, bad)
    torch.testing.assert_close(again, joint[order], atol=2e-3, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("apart", [70.0, 3000.0])
def test_joint_stages_leave_alone_what_does_not_overlap(patterns, apart):
    x, positions, probe, bad = patterns(1, B=8)
    positions = torch.arange(8.0).view(8, 1, 1, 1) * torch.tensor([0.0, apart])
    alone, joint = (torn(joined)(x, positions, probe, bad) for joined in (False, True))
    torch.testing.assert_close(joint, alone, atol=2e-3, rtol=0)
    one = torn(joint=True)(x[:1], positions[:1], probe, bad)
    torch.testing.assert_close(one, alone[:1], atol=2e-3, rtol=0)


@torch.no_grad()
def test_joint_stages_tell_neighbours_what_a_pattern_says(patterns):
    x, positions, probe, bad = patterns(1, B=8)
    other = x.clone()
    other[1] = x[6]
    for joint in (False, True):
        network = torn(joint)
        change = network(other, positions, probe, bad) - network(x, positions, probe, bad)
        assert (float(change[0].abs().mean()) > 1e-3) == joint
        assert float(change[1].abs().mean()) > 1e-2
