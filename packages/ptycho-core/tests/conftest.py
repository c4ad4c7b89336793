"""Scans that several test files share."""

import numpy as np
import pytest
from ptycho_core.testing import simulated_scan


@pytest.fixture(scope="session")
def scan():
    """48 patterns of 64 x 64 with the object."""
    return simulated_scan()


@pytest.fixture
def counts():
    """64 patterns of 32 x 32 counts without structure."""
    return np.random.default_rng(0).poisson(5.0, (64, 32, 32)).astype(np.uint16)
