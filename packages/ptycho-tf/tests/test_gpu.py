"""The backend on a GPU: what is placed there, and that it computes what a CPU does."""

import numpy as np
import pytest
from ptycho_config import PyTorchExecutionConfig
from ptycho_data import load_bundle
from ptycho_tf.devices import device_names, open_devices
from ptycho_tf.frameworks import tf
from ptycho_tf.reconstruction import reconstruct

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("accelerator", ["auto", "cuda", "gpu"])
def test_variables_are_on_the_gpu(accelerator):
    devices = open_devices(PyTorchExecutionConfig(accelerator=accelerator))
    with devices.scope():
        assert "GPU:0" in tf.Variable(1.0).device
    assert "GPU:0" in device_names()


@pytest.mark.parametrize("gridsize", [1, 2])
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_it_trains_and_reconstructs(
    train, scan, training, inference, execution, gridsize, precision
):
    model = {"gridsize": gridsize, "architecture": "unrolled"}
    config = training(model, n_groups=16, probe_trainable=True)
    settings = execution(accelerator="cuda", precision=precision)
    result = train(scan, config, settings)
    rec = reconstruct(load_bundle(result.bundle_path), scan, inference(), settings)
    assert rec.r_factor < 0.6


def test_a_reconstruction_is_that_of_the_cpu(train, scan, training, inference, execution):
    config = training({"architecture": "unrolled"}, n_groups=16)
    bundle = load_bundle(train(scan, config, execution(accelerator="cpu")).bundle_path)
    found = {
        accelerator: reconstruct(bundle, scan, inference(), execution(accelerator=accelerator))
        for accelerator in ("cpu", "cuda")
    }
    np.testing.assert_allclose(
        found["cuda"].reconstruction.object, found["cpu"].reconstruction.object, atol=2e-3
    )
    assert found["cuda"].r_factor == pytest.approx(found["cpu"].r_factor, rel=1e-3)
