"""The layers hold: in the imports, in the requirements, and the contracts can break."""

import os
import shutil
import subprocess
import sys
import tomllib

import pytest
from packaging.requirements import Requirement

HEAVY = {"keras", "lightning", "tensorflow", "torch"}


@pytest.fixture(scope="module")
def contracts(root):
    return tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]


@pytest.fixture(scope="module")
def ranks(contracts):
    """The height of each import name: 0 is the lowest layer."""
    (layers,) = (c["layers"] for c in contracts["contracts"] if c["type"] == "layers")
    return {
        name.strip(): rank
        for rank, layer in enumerate(reversed(layers))
        for name in layer.split("|")
    }


def lint(root, packages):
    """Run import-linter, with this workspace's contracts, on the sources under a folder."""
    sources = os.pathsep.join(str(path) for path in sorted(packages.glob("*/src")))
    code = "import sys; from importlinter.cli import lint_imports_command as run; run(sys.argv[1:])"
    command = [sys.executable, "-c", code, "--no-cache", "--no-logo"]
    return subprocess.run(  # noqa: S603  our own interpreter
        [*command, "--config", str(root / "pyproject.toml")],
        env={**os.environ, "PYTHONPATH": sources},
        capture_output=True,
        text=True,
        check=False,
    )


def test_contracts_hold(root):
    done = lint(root, root / "packages")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("module", "line", "broken"),
    [
        ("ptycho-config/src/ptycho_config", "import ptycho_physics", "Packages import downwards"),
        ("ptycho-data/src/ptycho_data", "import ptycho_physics", "Packages import downwards"),
        ("ptycho-tf/src/ptycho_tf", "import ptycho_torch", "Packages import downwards"),
        ("ptycho-physics/src/ptycho_physics", "import torch", "PyTorch and Lightning"),
        ("ptycho-torch/src/ptycho_torch", "import keras", "TensorFlow and Keras"),
    ],
)
def test_contracts_can_break(root, tmp_path, module, line, broken):
    packages = tmp_path / "packages"
    shutil.copytree(root / "packages", packages, ignore=shutil.ignore_patterns("tests", "*cache*"))
    with (packages / module / "__about__.py").open("a", encoding="utf-8") as about:
        about.write(f"{line}\n")
    done = lint(root, packages)
    assert done.returncode == 1
    (kept_or_broken,) = [x for x in done.stdout.splitlines() if x.startswith(broken) and "KE" in x]
    assert kept_or_broken.endswith("BROKEN")


def test_contracts_cover_every_package(contracts, ranks, import_names):
    names = set(import_names.values())
    assert set(contracts["root_packages"]) == names
    assert set(ranks) == names
    for contract in contracts["contracts"]:
        if contract["type"] == "forbidden":  # all but the one home of the framework
            assert len(names - set(contract["source_modules"])) == 1


def test_requirements_point_downwards(projects, import_names, ranks, package):
    project = projects[package]["project"]
    optional = project.get("optional-dependencies", {}).values()
    lines = [*project["dependencies"], *(line for lines in optional for line in lines)]
    for required in {Requirement(line).name for line in lines} & set(projects):
        assert ranks[import_names[required]] < ranks[import_names[package]]


def test_only_a_backend_loads_a_framework(import_names, package):
    code = f"import sys, {import_names[package]}; print(*sys.modules)"
    done = subprocess.run(  # noqa: S603  our own interpreter
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    own = {"ptycho-torch": {"torch", "lightning"}}.get(package, set())
    assert not (HEAVY - own) & set(done.stdout.split())
