"""Array libraries the tests run on.

Installed alone, the package computes with NumPy. A session that lists libraries in
``PTYCHO_REQUIRE_BACKENDS`` gets an error, not a skipped test, where one is missing.
"""

import importlib
import importlib.util
import os

import numpy as np
import pytest

MODULES = {
    "numpy": "array_api_compat.numpy",
    "torch": "array_api_compat.torch",
    "jax": "jax.numpy",
    "array_api_strict": "array_api_strict",
}
REQUIRED = {name for name in os.environ.get("PTYCHO_REQUIRE_BACKENDS", "").split(",") if name}
CHOSEN = [n for n in MODULES if n in REQUIRED or importlib.util.find_spec(n) is not None]


def pytest_collection_modifyitems(items):
    """Mark what computes with PyTorch, which the package alone does not have."""
    for item in items:
        if "torch" in item.name or "torch" in item.fixturenames:
            item.add_marker("together")


class Library:
    """Makes arrays of one library out of NumPy arrays, and back; differentiates where it can."""

    def __init__(self, name, device=None):
        self.name = name
        self.device = device
        self.xp = importlib.import_module(MODULES[name])
        if name == "jax":
            jax = importlib.import_module("jax")
            jax.config.update("jax_enable_x64", True)
            jax.config.update("jax_disable_most_optimizations", True)  # compiles faster

    def array(self, values):
        values = np.asarray(values)
        if self.name == "torch":
            return self.xp.asarray(values.copy(), device=self.device)
        return self.xp.asarray(values)

    def numpy(self, values):
        return values.detach().cpu().numpy() if self.name == "torch" else np.asarray(values)

    def call(self, function, *arguments):
        if self.name == "jax":
            function = importlib.import_module("jax").jit(function)
        return function(*arguments)

    def gradient(self, function, *arguments):
        if self.name == "torch":
            leaves = [argument.requires_grad_() for argument in arguments]
            function(*leaves).backward()
            return tuple(leaf.grad for leaf in leaves)
        if self.name == "jax":
            jax = importlib.import_module("jax")
            return jax.jit(jax.grad(function, argnums=tuple(range(len(arguments)))))(*arguments)
        return None


@pytest.fixture(params=[name for name in CHOSEN if name in ("numpy", "torch")])
def library(request):
    """The libraries people compute with."""
    return Library(request.param)


@pytest.fixture(params=CHOSEN)
def any_library(request):
    """Every library there is, also those that are here for the proof."""
    return Library(request.param)


def _cases():
    for name in CHOSEN:
        for precision in ("float32", "float64"):
            # the time is that of the compiler
            slow = [pytest.mark.slow] if (name, precision) == ("jax", "float32") else []
            yield pytest.param((name, precision), marks=slow, id=f"{name}-{precision}")


@pytest.fixture(params=list(_cases()))
def any_library_and_precision(request):
    """Every library in both precisions."""
    name, precision = request.param
    return Library(name), precision


@pytest.fixture
def torch_on_gpu():
    return Library("torch", device="cuda")


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
