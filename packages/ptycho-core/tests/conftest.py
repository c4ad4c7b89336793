"""Scans that several test files share."""

import pytest
from ptycho_core.testing import simulated_scan


@pytest.fixture(scope="session")
def scan():
    """48 patterns of 64 x 64 with the object."""
    return simulated_scan()
