"""The weights of a network by the names, and in the axis order, of the bundle.

The name of a layer is the name of its weights there; the table below gives their layouts.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from ptycho_tf.frameworks import keras
from ptycho_tf.networks import Network

LAYOUTS: dict[type, dict[str, tuple[str, tuple[int, ...] | None]]] = {
    # name in the bundle: (name in Keras, axes of the bundle's array in the order of Keras)
    keras.layers.Conv2D: {"weight": ("kernel", (2, 3, 1, 0)), "bias": ("bias", None)},
    keras.layers.GroupNormalization: {"weight": ("gamma", None), "bias": ("beta", None)},
}


@frozen(eq=False)
class Weight:
    """A variable of a network, and its name and layout in the bundle.

    Attributes
    ----------
    name : str
        Name in the bundle, below ``network.``.
    variable : keras.Variable
    axes : tuple of int or None
        Axes of the bundle's array in the order of Keras; None for the same order.
    """

    name: str
    variable: Any
    axes: tuple[int, ...] | None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the bundle's array."""
        shape = tuple(self.variable.shape)
        return shape if self.axes is None else tuple(shape[self.axes.index(k)] for k in range(4))

    @property
    def value(self) -> NDArray[Any]:
        """The array in the layout of the bundle."""
        array = self.variable.numpy()
        return array if self.axes is None else array.transpose(np.argsort(self.axes))

    def assign(self, array: NDArray[Any]) -> None:
        """Set the variable from the bundle's array."""
        self.variable.assign(array if self.axes is None else array.transpose(self.axes))


def weights_of(network: Network) -> Iterator[Weight]:
    """Yield every weight of a network."""
    for part in network.parts:
        for layer in part.layers:
            for name, (attribute, axes) in LAYOUTS.get(type(layer), {}).items():
                yield Weight(f"{layer.name}.{name}", getattr(layer, attribute), axes)
