from collections.abc import Callable
from typing import Any

import numpy as np
import pytest


def _contract_arrays(
    n: int = 12, N: int = 8, modes: int = 2, domain: str = "counts", seed: int = 3
) -> dict[str, np.ndarray[Any, Any]]:
    """Arrays of a small valid scan with every key of the contract."""
    rng = np.random.default_rng(seed)

    def fields(*shape: int) -> np.ndarray[Any, Any]:
        return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64)

    counts = rng.poisson(40, (n, N, N)).astype(np.uint16)
    amplitude = np.sqrt(counts / counts.max(), dtype=np.float32)
    return {
        "diffraction": counts if domain == "counts" else amplitude,
        "xcoords": rng.uniform(10, 60, n),
        "ycoords": rng.uniform(10, 50, n),
        "xcoords_start": rng.uniform(10, 60, n),
        "ycoords_start": rng.uniform(10, 50, n),
        "probeGuess": fields(modes, N, N),
        "objectGuess": fields(70, 75),
        "Y": fields(n, N, N),
        "scan_index": rng.integers(0, 3, n),
        "bad_pixels": rng.random((N, N)) < 0.05,
        "nphotons": np.array(1e5),
        "pixel_size_m": np.array(2e-8),
        "domain": np.array(domain),
    }


@pytest.fixture(scope="session")
def contract_arrays() -> Callable[..., dict[str, np.ndarray[Any, Any]]]:
    return _contract_arrays
