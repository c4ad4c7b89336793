"""What the tests of the workspace share: its root, its packages, the noxfile's functions."""

import importlib.util
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECTS = {
    path.parent.name: tomllib.loads(path.read_text("utf-8"))
    for path in sorted(ROOT.glob("packages/*/pyproject.toml"))
}


def pytest_generate_tests(metafunc):
    if "package" in metafunc.fixturenames:
        metafunc.parametrize("package", list(PROJECTS))


@pytest.fixture(scope="session")
def root():
    return ROOT


@pytest.fixture(scope="session")
def projects():
    """Each package's pyproject.toml, by the name of its folder."""
    return PROJECTS


@pytest.fixture(scope="session")
def import_names():
    """Each package's import name, by the name of its folder."""
    return {
        name: next(ROOT.glob(f"packages/{name}/src/*/__init__.py")).parent.name for name in PROJECTS
    }


@pytest.fixture(scope="session")
def noxfile():
    spec = importlib.util.spec_from_file_location("workspace_noxfile", ROOT / "noxfile.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
