"""Array libraries the tests run on.

Installed alone, the package has NumPy only. A session that lists libraries in
``PTYCHO_REQUIRE_BACKENDS`` gets an error, not a skipped test, where one is missing.
"""

import importlib.util
import os

import numpy as np
import pytest

LIBRARIES = ("numpy", "torch")
REQUIRED = {name for name in os.environ.get("PTYCHO_REQUIRE_BACKENDS", "").split(",") if name}
CHOSEN = [n for n in LIBRARIES if n in REQUIRED or importlib.util.find_spec(n) is not None]


class Library:
    """Makes arrays of one library out of NumPy arrays, and back."""

    def __init__(self, name):
        self.name = name

    def array(self, values):
        if self.name == "numpy":
            return np.asarray(values)
        import torch

        return torch.from_numpy(np.array(values))

    def numpy(self, values):
        return np.asarray(values) if self.name == "numpy" else values.detach().numpy()


@pytest.fixture(params=CHOSEN)
def library(request):
    return Library(request.param)


@pytest.fixture
def torch():
    """PyTorch, for gradients: an error where it is required, a skip where it is optional."""
    if "torch" in REQUIRED:
        return importlib.import_module("torch")
    return pytest.importorskip("torch", reason="gradients need torch; alone there is NumPy only")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def complex_normal(rng):
    def draw(*shape, dtype=np.complex128):
        return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(dtype)

    return draw


def tolerance(dtype):
    """Relative tolerance for values that went through a few operations in ``dtype``."""
    return 4 * float(np.sqrt(np.finfo(dtype).eps)) if np.dtype(dtype).itemsize <= 8 else 1e-10


@pytest.fixture(params=[np.complex64, np.complex128])
def precision(request):
    """Give a complex dtype and the relative tolerance that goes with it."""
    return request.param, tolerance(request.param)
