import numpy as np
import pytest
import torch
from ptycho_config import InferenceConfig, ModelConfig, PyTorchExecutionConfig, TrainingConfig
from ptycho_data import Scan, load_bundle
from ptycho_physics import defocused_probe, random_cells, simulate_counts, snake_scan
from ptycho_torch.networks import build_network
from ptycho_torch.networks.cnn import AMPLITUDE_ACTIVATIONS
from ptycho_torch.reconstruction import reconstruct


def make(**settings):
    """Make a network whose last layers, which start at zero, have learned something."""
    network = build_network(ModelConfig(architecture="cnn", n_filters_scale=1, **settings))
    for layer in network.amplitude.last_layers + network.phase.last_layers:
        torch.nn.init.xavier_uniform_(layer.weight)
    return network


@pytest.mark.parametrize("name", sorted(AMPLITUDE_ACTIVATIONS))
def test_zero_is_an_object_of_unit_amplitude(name):
    activation = AMPLITUDE_ACTIVATIONS[name]
    torch.testing.assert_close(activation(torch.zeros(3)), torch.ones(3))
    assert (activation(torch.linspace(-9, 9, 50)) >= (-0.3 if name == "swish" else 0)).all()


@pytest.mark.parametrize(("N", "levels"), [(64, 3), (128, 4), (256, 5)])
def test_one_more_level_per_doubling_of_n(N, levels):
    network = make(N=N)
    assert len(network.encoder) == levels
    assert network.encoder[0][0][0].out_channels == 32
    assert network.encoder[-1][0][2].out_channels == 32 * 2 ** (levels - 1)


def test_patterns_of_another_size_are_refused(patterns):
    x, positions, probe, _ = patterns(1)
    with pytest.raises(ValueError, match=r"must be 128, .* got 64"):
        make(N=128)(x, positions, probe, torch.zeros(64, 64, dtype=torch.bool))


def test_pad_object_decodes_the_centre_and_leaves_a_plain_rim(patterns):
    x, positions, probe, bad = patterns(1)
    patches = make(pad_object=True, probe_big=False)(x, positions, probe, bad)
    rim = torch.ones(64, 64, dtype=torch.bool)
    rim[16:48, 16:48] = False
    torch.testing.assert_close(patches[:, :, rim], torch.ones_like(patches[:, :, rim]))
    assert patches[..., ~rim].std() > 0


@pytest.mark.parametrize(("pad_object", "probe_big"), [(True, True), (False, False)])
def test_the_rim_is_decoded_otherwise(patterns, pad_object, probe_big):
    x, positions, probe, bad = patterns(1)
    patches = make(pad_object=pad_object, probe_big=probe_big)(x, positions, probe, bad)
    assert patches[..., :16, :].std() > 0


@pytest.mark.parametrize("N", [64, 256])
def test_training_starts_from_an_object_of_one_with_signals_of_full_size(N):
    torch.manual_seed(0)
    network = build_network(ModelConfig(architecture="cnn", n_filters_scale=1, N=N))
    x = torch.rand(4, 1, N, N)
    probe, bad = torch.ones(1, N, N, dtype=torch.complex64) / N, torch.zeros(N, N, dtype=bool)
    with torch.no_grad():
        patches = network(x, torch.zeros(4, 1, 1, 2), probe, bad)
        features = network.encoder(torch.randn(4, 2, N, N))
    torch.testing.assert_close(patches, torch.ones_like(patches))
    assert features.std(dim=0).mean() > 0.1  # between patterns, however deep


@pytest.mark.slow
def test_at_128_the_amplitude_does_not_collapse(train):
    """Networks without skips are known to end in a flat amplitude under the count likelihood."""
    truth = random_cells((180, 180), radius=(10, 20), seed=2)
    positions = snake_scan(truth.shape, 128, number=36, jitter=0.4, seed=1)
    probe = defocused_probe(128)
    scan = Scan(
        diffraction=simulate_counts(truth, probe, positions, 1e5, seed=3),
        xcoords=positions[:, 0],
        ycoords=positions[:, 1],
        probe=probe,
        domain="counts",
    )
    model = ModelConfig(architecture="cnn", n_filters_scale=1, N=128)
    config = TrainingConfig(
        model=model,
        backend="pytorch",
        nepochs=60,
        batch_size=4,
    )
    execution = PyTorchExecutionConfig(learning_rate=1e-3, logger_backend="none")
    history = train(scan, config, execution).history
    assert history["train_nll"][-1] < 0.4 * history["train_nll"][0]
    settings = InferenceConfig(backend="pytorch")
    rec = reconstruct(load_bundle(train.folder), scan, settings, execution).reconstruction
    x, y = rec.origin
    height, width = rec.object.shape
    found = np.abs(rec.object)[30:-30, 30:-30]
    expected = np.abs(truth[y : y + height, x : x + width])[30:-30, 30:-30]
    assert found.std() > 0.5 * expected.std()
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.4


def test_every_channel_of_a_group_is_its_own_patch(patterns):
    x, positions, probe, bad = patterns(4)
    patches = make(gridsize=2)(x, positions, probe, bad)
    assert (patches[:, 0] - patches[:, 1]).abs().max() > 0


def test_half_precision_leaves_the_amplitude_its_grey_levels(patterns):
    x, positions, probe, bad = patterns(1)
    network = make(pad_object=False)
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        amplitude = network(x, positions, probe, bad).abs()
    assert len(amplitude.unique()) > 100
