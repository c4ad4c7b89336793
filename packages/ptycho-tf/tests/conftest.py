"""A small scan, and settings of trainings that finish within a second or two."""

import sys
from pathlib import Path

import numpy as np
import pytest
from ptycho_config import InferenceConfig, ModelConfig, PyTorchExecutionConfig, TrainingConfig
from ptycho_core.testing import simulated_scan
from ptycho_tf import networks
from ptycho_tf.frameworks import tf

sys.path.append(str(Path(__file__).parent))
from tiny import Tiny

pytest.register_assert_rewrite("ptycho_core.testing.backend_contract")

PHOTONS = 1e5

#: Tests of the contract that take over ten seconds here, where every training is compiled anew.
SLOW = {
    "test_a_killed_training_is_resumed_to_the_same_bits",
    "test_a_network_from_an_estimate_of_the_scan_is_as_good_at_once",
    "test_a_resumed_training_may_change_its_learning_rate",
    "test_a_training_from_a_model_starts_at_its_loss_and_gets_better",
    "test_averaged_weights_and_synthetic_batches_change_what_they_are_meant_to",
}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Leave slow tests of the contract to the nightly session; PyTorch runs them daily."""
    for item in items:
        if (
            item.path.parent == Path(__file__).parent
            and getattr(item, "originalname", None) in SLOW
        ):
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setitem(networks.ARCHITECTURES, "tiny", Tiny)


@pytest.fixture(scope="session")
def scan():
    return simulated_scan()


@pytest.fixture
def train(tmp_path):
    """Train in a folder of the test: ``model``, unless ``output`` names another one."""
    from ptycho_tf import training

    def call(scans, config, execution, *, output="model", **more):
        return training.train(scans, config, execution, output=tmp_path / output, **more)

    call.folder = tmp_path / "model"
    return call


@pytest.fixture
def training():
    """Make training configurations that finish within a second or two."""

    def make(model=None, **changes):
        defaults = {"architecture": "tiny", "n_filters_scale": 1}
        settings = {
            "backend": "tensorflow",
            "nepochs": 2,
            "batch_size": 8,
        } | changes
        return TrainingConfig(model=ModelConfig(**(defaults | (model or {}))), **settings)

    return make


@pytest.fixture
def inference():
    def make(**changes):
        settings = {
            "backend": "tensorflow",
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
        counts = scan.counts(indices.ravel()).reshape(B, C, 64, 64)
        x = tf.constant(np.sqrt(counts).transpose(0, 2, 3, 1) * 32 / PHOTONS**0.5)
        positions = scan.positions[indices].astype(np.float32)
        where = tf.constant(positions.transpose(0, 2, 1)[:, None])
        return x, where, tf.constant(scan.probe), tf.zeros((64, 64), tf.bool)

    return make


@pytest.fixture
def taught():
    """Give the last layers of a network, which start at zero, something to say."""

    def teach(network):
        rng = np.random.default_rng(0)
        for part in network.parts:
            for weight in part.weights:
                if weight.path.endswith("kernel") and not np.any(weight.numpy()):
                    weight.assign(0.05 * rng.normal(size=weight.shape))
        return network

    return teach
