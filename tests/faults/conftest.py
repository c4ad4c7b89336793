"""Whole inputs, and servers that run the command, for all tests of faults."""

import importlib.util
import os
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

MODULES = {"pytorch": "torch", "tensorflow": "tensorflow"}
REQUIRED = set(os.environ.get("PTYCHO_REQUIRE_BACKENDS", "").split(","))


def pytest_collection_modifyitems(items):
    linux = pytest.mark.skipif(sys.platform != "linux", reason="forks, mounts and limits memory")
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(linux)


@pytest.fixture(scope="session")
def backends():
    """The installed backends; where one is required and missing, an error."""
    found = tuple(n for n, module in MODULES.items() if importlib.util.find_spec(module))
    missing = {n for n, module in MODULES.items() if module in REQUIRED} - set(found)
    assert not missing, f"{missing} must be installed"
    return found


@pytest.fixture(scope="session")
def work():
    """A folder in memory where there is one: thousands of cases are written."""
    shared = Path("/dev/shm")  # noqa: S108 - a folder of our own in it
    place = str(shared) if shared.is_dir() and os.access(shared, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="faults-", dir=place) as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def samples(work):
    from samples import Samples

    (work / "samples").mkdir()
    made = Samples(folder=work / "samples")
    yield made
    made.close()
