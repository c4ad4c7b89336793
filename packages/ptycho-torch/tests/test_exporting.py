"""Exported networks: real numbers and complex ones give the same, and so do the files."""

import math

import numpy as np
import pytest
import torch
from ptycho_config import InvalidValueError, ModelConfig, TrainingConfig
from ptycho_core.scan_estimate import ScanEstimate
from ptycho_core.testing import simulated_scan
from ptycho_physics import input_scale
from ptycho_torch.bundles import bundle_of
from ptycho_torch.exporting.files import example_inputs, export, single_patterns
from ptycho_torch.model import PtychoModel

SCAN = simulated_scan(5)


def bundle_with(architecture, **settings):
    """Return the bundle of a network whose every layer acts."""
    model = ModelConfig(
        architecture=architecture, n_filters_scale=1, joint_stages=architecture != "cnn", **settings
    )
    torch.manual_seed(3)
    made = PtychoModel(model, SCAN.probe)
    with torch.no_grad():
        for parameter in made.network.parameters():
            parameter += 0.02 * torch.randn(parameter.shape)
    config = TrainingConfig(model=model)
    record = {"photons": 1e5, "domain": "counts", "history": {}, "overrides_applied": {}}
    return bundle_of(made, config, **record)


@pytest.fixture(scope="module", params=["unrolled", "guided"])
def bundle(request):
    return bundle_with(request.param)


def measured(network, bad_pixels=False):
    """Return inputs from a scan, and what the network itself makes of them."""
    counts = SCAN.counts().astype(np.float32)
    photons = float(counts.sum(axis=(1, 2)).mean())
    bad = np.zeros((SCAN.N, SCAN.N), bool)
    bad[30:33, 20] = bad_pixels
    probe = SCAN.probe.astype(np.complex64)
    start = ()
    if network.network.starts_from_scan:
        made = ScanEstimate.of(SCAN, np.arange(SCAN.n), probe, photons=photons)
        start = made.patches(np.arange(SCAN.n))
    inputs = [counts, np.float32(photons), 3 * probe.real, 3 * probe.imag, bad]
    inputs += [start[0].real, start[0].imag, start[1]] if start else []
    unit = torch.from_numpy(probe / np.linalg.norm(probe))
    x = torch.from_numpy(np.sqrt(counts) * input_scale(photons, SCAN.N)).unsqueeze(1)
    given = (x, torch.zeros(SCAN.n, 1, 1, 2), unit, torch.from_numpy(bad), torch.tensor(photons))
    more = [torch.from_numpy(part).unsqueeze(1) for part in start]
    with torch.no_grad():
        expected = network.network(*given, *more)[:, 0].numpy()
    return [np.ascontiguousarray(part) for part in inputs], expected


def assert_alike(found, expected):
    real, imag = (np.asarray(part) for part in found)
    np.testing.assert_allclose(real + 1j * imag, expected, rtol=0, atol=1e-4)


def test_real_numbers_give_what_complex_ones_do(bundle):
    network = single_patterns(bundle)
    assert network.real_valued
    assert not network.network.joint
    inputs, expected = measured(network, bad_pixels=True)
    with torch.no_grad():
        found = network(*(torch.from_numpy(np.asarray(part)) for part in inputs))
    assert np.abs(expected - 1).max() > 0.1
    assert_alike(found, expected)


@pytest.mark.slow
def test_a_file_of_onnx_gives_the_same(bundle, tmp_path):
    """For any number of patterns, which need not be that of the tracing."""
    onnxruntime = pytest.importorskip("onnxruntime")
    made = export(bundle, tmp_path / "network.onnx", "onnx")
    session = onnxruntime.InferenceSession(tmp_path / "network.onnx")
    assert [one.name for one in session.get_inputs()] == list(made["inputs"])
    inputs, expected = measured(single_patterns(bundle))
    found = session.run(None, dict(zip(made["inputs"], inputs, strict=True)))
    assert_alike(found, expected)


@pytest.mark.slow
def test_a_file_of_torch_export_gives_the_same(bundle, tmp_path):
    export(bundle, tmp_path / "network.pt2", "pt2")
    network = torch.export.load(tmp_path / "network.pt2").module()
    inputs, expected = measured(single_patterns(bundle))
    found = network(*(torch.from_numpy(np.asarray(part)) for part in inputs))
    assert_alike(found, expected)


def test_another_size_and_number_of_modes(bundle):
    network = single_patterns(bundle, N=128, modes=3)
    inputs = example_inputs(network, 3)
    with torch.no_grad():
        real, imag = network(*inputs)
    assert real.shape == imag.shape == (2, 128, 128)
    assert math.isfinite(float(real.sum() + imag.sum()))


def test_what_cannot_be_exported_is_refused_by_name(tmp_path):
    cnn = bundle_with("cnn")
    with pytest.raises(InvalidValueError) as refused:
        single_patterns(cnn, N=128)
    assert refused.value.name == "N"
    with pytest.raises(InvalidValueError) as refused:
        single_patterns(bundle_with("cnn", gridsize=2))
    assert refused.value.name == "gridsize of the bundle"
    with pytest.raises(InvalidValueError) as refused:
        export(cnn, tmp_path / "network", "tensorrt")
    assert refused.value.name == "kind"
    assert not list(tmp_path.iterdir())


def test_a_masked_probe_stays_masked():
    """Light outside the circle makes no difference."""
    network = single_patterns(bundle_with("unrolled", probe_mask=True))
    inputs, _ = measured(network)
    counts, photons, real, imag, bad = (torch.from_numpy(np.asarray(part)) for part in inputs)
    outside = 5 * (1 - network.circle)
    with torch.no_grad():
        plain = network(counts, photons, real, imag, bad)
        brighter = network(counts, photons, real + outside, imag, bad)
    torch.testing.assert_close(plain, brighter)
