"""A network so small that a whole training is traced within a second."""

from ptycho_tf.frameworks import keras, tf
from ptycho_tf.networks.base import Network
from ptycho_tf.networks.blocks import convolution


class Tiny(Network):
    """One convolution of the patterns: enough to be trained, saved and resumed."""

    recommended_scheduler = "WarmupCosine"

    def __init__(self, model, dtype=None):
        super().__init__()
        C, given = model.channels, keras.Input((model.N, model.N, model.channels))
        self.parts = [keras.Model(given, convolution(given, 2 * C, "only", dtype=dtype))]

    def call(self, x, positions, probe, bad_pixels, photons=0.0):  # noqa: ARG002 - the contract of Network
        real, imag = tf.split(tf.cast(self.parts[0](x), tf.float32), 2, axis=-1)
        return tf.complex(1 + 0.1 * real, 0.1 * imag)
