import numpy as np
import pytest
from ptycho_config import ModelConfig
from ptycho_tf.networks import ARCHITECTURES, build_network
from ptycho_tf.weights import weights_of


@pytest.fixture(params=list(ARCHITECTURES))
def network(request):
    return build_network(ModelConfig(architecture=request.param, n_filters_scale=1))


def named(network):
    return {weight.name: weight.value for weight in weights_of(network)}


def test_the_table_covers_every_variable(network):
    covered = {id(weight.variable) for weight in weights_of(network)}
    assert covered == {id(v) for part in network.parts for v in part.variables}


def test_arrays_have_the_axis_order_of_the_bundle(network):
    weights = list(weights_of(network))
    for weight in weights:
        assert weight.shape == weight.value.shape
    kernels = [w for w in weights if w.axes is not None]
    for kernel in kernels:
        kh, kw, fan_in, fan_out = kernel.variable.shape
        assert kernel.shape == (fan_out, fan_in, kh, kw)
        np.testing.assert_array_equal(kernel.value[-1, 0], kernel.variable.numpy()[:, :, 0, -1])
