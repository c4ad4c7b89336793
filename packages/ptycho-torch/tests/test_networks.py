import pytest
import torch
from ptycho_config import InvalidValueError, ModelConfig
from ptycho_physics import normalise_probe
from ptycho_torch.networks import ARCHITECTURES, Network, build_network

SMALL = {"n_filters_scale": 1}


def inputs(network, *given):
    """Add a flat object and its light for a network that starts from an estimate of the scan."""
    if not network.starts_from_scan:
        return given
    flat = torch.ones_like(given[0])
    return (*given, 1e5, flat.to(torch.complex64), 1e-3 * flat)


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
@pytest.mark.parametrize("gridsize", [1, 2, 3])
@pytest.mark.parametrize("N", [64, 128])
def test_channels_follow_gridsize(architecture, gridsize, N):
    model = ModelConfig(architecture=architecture, gridsize=gridsize, N=N, **SMALL)
    C = model.channels
    network = build_network(model)
    probe = normalise_probe(torch.randn(2, N, N, dtype=torch.complex64))
    positions = 70 + 4 * torch.rand(2, C, 1, 2)
    bad = torch.zeros(N, N, dtype=torch.bool)
    patches = network(*inputs(network, torch.rand(2, C, N, N), positions, probe, bad))
    assert patches.shape == (2, C, N, N)
    assert patches.dtype == torch.complex64
    assert torch.isfinite(torch.view_as_real(patches)).all()


def test_an_unknown_architecture_is_named_with_the_known_ones():
    with pytest.raises(InvalidValueError, match="cnn, guided, unrolled") as refused:
        build_network(ModelConfig(architecture="resnet"))
    assert (refused.value.name, refused.value.got) == ("architecture", "'resnet'")


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_every_network_recommends_a_schedule(architecture):
    assert issubclass(ARCHITECTURES[architecture], Network)
    assert ARCHITECTURES[architecture].recommended_scheduler in {
        "WarmupCosine",
        "ReduceLROnPlateau",
    }


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
@pytest.mark.parametrize("C", [1, 4])
def test_a_group_does_not_depend_on_its_batch(patterns, architecture, C):
    gridsize = {1: 1, 4: 2}[C]
    network = build_network(ModelConfig(architecture=architecture, gridsize=gridsize, **SMALL))
    x, positions, probe, bad = patterns(C)
    with torch.no_grad():
        together = network(*inputs(network, x, positions, probe, bad))
        alone = network(*inputs(network, x[1:2], positions[1:2], probe, bad))
    torch.testing.assert_close(together[1:2], alone, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_bad_pixels_are_not_looked_at(patterns, architecture):
    network = build_network(ModelConfig(architecture=architecture, **SMALL))
    x, positions, probe, bad = patterns(1)
    bad = bad.clone()
    bad[30, 33] = True
    spoiled = x.clone()
    spoiled[..., 30, 33] = 1e3
    with torch.no_grad():
        torch.testing.assert_close(
            network(*inputs(network, spoiled, positions, probe, bad)),
            network(*inputs(network, x, positions, probe, bad)),
        )


def test_stages_of_a_network_without_any_are_refused():
    with pytest.raises(InvalidValueError) as refused:
        build_network(ModelConfig(architecture="cnn", joint_stages=True))
    assert (refused.value.name, refused.value.advice) == ("joint_stages", "use guided, unrolled")
