"""TensorFlow computes the same physics: values, and gradients inside `tf.function`."""

import pytest
import tensorflow as tf
from ptycho_physics import testing
from ptycho_tf import namespace


class TensorFlow:
    """The library as `ptycho_physics.testing` takes one: values eagerly, gradients in a graph.

    The graph is traced with a batch size that is not known yet.
    """

    xp = namespace

    def array(self, values):
        return tf.constant(values)

    def numpy(self, values):
        return values.numpy()

    def call(self, function, *arguments):
        return function(*arguments)

    def gradient(self, function, *arguments):
        def differentiate(*leaves):
            with tf.GradientTape() as tape:
                tape.watch(leaves)
                result = function(*leaves)
            return tape.gradient(result, leaves)

        specs = [tf.TensorSpec(self.shape(x), x.dtype) for x in arguments]
        return tf.function(differentiate, input_signature=specs)(*arguments)

    def shape(self, x):
        return x.shape if len(x.shape) == 2 else (None, *x.shape[1:])


@pytest.mark.parametrize("precision", list(testing.TOLERANCE))
@pytest.mark.parametrize("name", list(testing.CASES))
class TestParity:
    def test_values_and_gradients(self, name, precision):
        found = testing.deviation(name, TensorFlow(), precision)
        assert found.value <= testing.TOLERANCE[precision]
        assert found.gradient <= testing.TOLERANCE[precision]
