import numpy as np
import pytest
import torch
from ptycho_config import ModelConfig
from ptycho_physics import input_scale, propagate, smoothing_envelope
from ptycho_torch.illumination import prepare_probe
from ptycho_torch.model import PtychoModel

SMALL = {"architecture": "unrolled", "n_filters_scale": 1}


def make(scan, settings=None, **options):
    return PtychoModel(ModelConfig(**SMALL, **(settings or {})), scan.probe, **options)


def test_probe_is_used_at_unit_power(scan):
    probe = prepare_probe(7 * scan.probe, ModelConfig(**SMALL))
    assert float(probe.abs().square().sum()) == pytest.approx(1, rel=1e-5)


def test_probe_mask_darkens_the_corners(scan):
    lit = np.ones_like(scan.probe)
    probe = prepare_probe(lit, ModelConfig(probe_mask=True, **SMALL)).abs()
    assert probe[0, 0, 0] == 0
    assert probe[0, 32, 1] > 0
    assert (prepare_probe(lit, ModelConfig(**SMALL)).abs() > 0).all()


def test_a_probe_of_another_size_is_refused(scan):
    with pytest.raises(ValueError, match="of 128 x 128 pixels, the N of the model, got 64 x 64"):
        PtychoModel(ModelConfig(N=128, **SMALL), scan.probe)


def test_smoothing_envelope_is_a_gaussian_blur_of_the_wave():
    N, sigma = 64, 1.5
    wave = torch.zeros(N, N, dtype=torch.complex64)
    wave[20:40, 25:30] = 1 + 0.5j
    x = torch.arange(N) - N // 2
    kernel = torch.exp(-(x**2 + x[:, None] ** 2) / (2 * sigma**2))
    kernel = torch.fft.fft2(torch.fft.ifftshift(kernel / kernel.sum()))
    blurred = torch.fft.ifft2(torch.fft.fft2(wave) * kernel)
    expected = propagate(blurred).abs().square()
    found = propagate(wave).abs().square() * torch.from_numpy(smoothing_envelope(N, sigma))
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


def test_flat_object_gives_the_mean_counts(scan):
    rate = make(scan).predict_counts(torch.ones(2, 1, 64, 64, dtype=torch.complex64), 1e5)
    torch.testing.assert_close(rate.sum((-2, -1)), torch.full((2, 1), 1e5), rtol=1e-4, atol=0)


def test_log_scale_is_a_factor_on_the_amplitude(scan):
    model = make(scan)
    flat = torch.ones(1, 1, 64, 64, dtype=torch.complex64)
    before = model.predict_counts(flat, 1e5).sum()
    torch.nn.init.constant_(model.log_scale, np.log(2))
    torch.testing.assert_close(model.predict_counts(flat, 1e5).sum(), 4 * before)


@pytest.mark.parametrize(
    ("options", "trained"),
    [
        ({}, {"log_scale"}),
        ({"probe_trainable": True}, {"log_scale", "scans.0.probe_change"}),
        ({"intensity_scale_trainable": False}, set()),
    ],
)
def test_what_is_trainable(scan, options, trained):
    model = make(scan, **options)
    named = {n for n, p in model.named_parameters() if p.requires_grad and "network" not in n}
    assert named == trained


def test_trainable_probe_starts_as_given_and_stays_at_unit_power(scan):
    model = make(scan, probe_trainable=True)
    torch.testing.assert_close(model.probe, make(scan).probe)
    torch.nn.init.normal_(model.probe_changes()[0])
    assert float(model.probe.detach().abs().square().sum()) == pytest.approx(1, rel=1e-5)


def test_object_big_makes_patches_agree(scan):
    patches = torch.randn(3, 1, 64, 64, dtype=torch.complex64)
    where = torch.tensor([[34.0, 34.0], [36.0, 34.0], [34.0, 35.0]]).view(3, 1, 1, 2)
    agreed = make(scan).constrain(patches, where, (70, 70))
    torch.testing.assert_close(agreed[0, 0][:, 2:], agreed[1, 0][:, :-2], rtol=1e-3, atol=1e-3)
    free = make(scan, {"object_big": False}).constrain(patches, where, (70, 70))
    assert free is patches


def test_input_is_of_order_one(scan):
    counts = torch.from_numpy(scan.counts())
    x = counts.sqrt() * input_scale(scan.mean_photons(), 64)
    assert float(x.square().mean()) == pytest.approx(0.25, rel=0.01)  # (N/2)^2 over N^2 pixels


def test_forward_returns_patches_and_their_counts(scan, patterns):
    model = make(scan)
    x, positions, _, _ = patterns(1)
    local = positions - positions.amin((0, 1, 2)).floor() + 32
    canvas = tuple(int(v) for v in (local.amax((0, 1, 2)).ceil() + 32).flip(0))
    with torch.no_grad():
        patches, rate = model(x, local, canvas, 1e5)
    torch.testing.assert_close(rate, model.predict_counts(patches, 1e5))
    assert float(rate.sum((-2, -1)).mean()) == pytest.approx(1e5, rel=0.2)
