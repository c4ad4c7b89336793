"""A small scan that every test of this package can afford."""

import numpy as np
import pytest
import torch
from ptycho_config import InferenceConfig, ModelConfig, PyTorchExecutionConfig, TrainingConfig
from ptycho_core.testing import simulated_scan
from ptycho_torch.bundles import bundle_of
from ptycho_torch.model import PtychoModel

pytest.register_assert_rewrite("ptycho_core.testing.backend_contract")

PHOTONS = 1e5


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def scan():
    return simulated_scan()


@pytest.fixture
def train(tmp_path):
    """Train in a folder of the test: ``model``, unless ``output`` names another one."""
    from ptycho_torch import training

    def call(scans, config, execution, *, output="model", **more):
        return training.train(scans, config, execution, output=tmp_path / output, **more)

    call.folder = tmp_path / "model"
    return call


@pytest.fixture
def training():
    """Make training configurations that finish within a second or two."""

    def make(model=None, **changes):
        defaults = {"architecture": "unrolled", "n_filters_scale": 1}
        settings = {
            "backend": "pytorch",
            "nepochs": 2,
            "batch_size": 8,
        } | changes
        return TrainingConfig(model=ModelConfig(**(defaults | (model or {}))), **settings)

    return make


@pytest.fixture
def untrained(scan, training):
    """Bundles of untrained networks: `unrolled` is a physical solver even then."""

    def make(model=None, **changes):
        config = training(model, **changes)
        network = PtychoModel(config.model, scan.probe)
        return bundle_of(
            network,
            config,
            photons=scan.mean_photons(),
            domain="counts",
            history={},
            overrides_applied={},
        )

    return make


@pytest.fixture
def inference():
    def make(**changes):
        settings = {
            "backend": "pytorch",
        } | changes
        return InferenceConfig(**settings)

    return make


@pytest.fixture
def execution():
    def make(**changes):
        settings = {"learning_rate": 2e-3, "logger_backend": "none"} | changes
        return PyTorchExecutionConfig(**settings)

    return make


@pytest.fixture
def patterns(scan):
    """Network input, positions, probe and bad pixels for groups of ``C`` patterns."""

    def make(C, B=3):
        indices = np.arange(B)[:, None] * 5 + np.arange(C)
        counts = torch.from_numpy(scan.counts(indices.ravel()).reshape(B, C, 64, 64))
        x = counts.sqrt() * 32 / PHOTONS**0.5
        positions = torch.from_numpy(scan.positions[indices].astype(np.float32)).unsqueeze(-2)
        probe = torch.from_numpy(scan.probe)
        return x, positions, probe, torch.zeros(64, 64, dtype=torch.bool)

    return make
