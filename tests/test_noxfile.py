"""The sessions find the packages, and give each only what it asks for."""

import json
import subprocess
import sys

import pytest


@pytest.fixture(scope="module")
def sessions(root):
    """The default sessions."""
    return listed(root)


@pytest.fixture(scope="module")
def tagged(root):
    """Those of the CPU and of the GPU, wanted by default or not."""
    return listed(root, "--tags", "cpu", "gpu")


def listed(root, *options):
    file = str(root / "noxfile.py")
    command = [sys.executable, "-m", "nox", "--list", "--json", "-f", file, *options]
    done = subprocess.run(  # noqa: S603  our own interpreter
        command, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def test_every_package_has_its_session(sessions, projects):
    tested = [s["call_spec"]["package"] for s in sessions if s["name"] == "tests"]
    assert tested == list(projects)


def test_other_versions_of_python_are_tested_by_name(sessions, tagged, projects):
    for version in ("3.12", "3.13"):
        named = [s for s in tagged if s["name"] == f"tests-{version}"]
        assert [s["call_spec"]["package"] for s in named] == list(projects)
        assert {s["python"] for s in named} == {version}
    assert {s["python"] for s in sessions if s["name"] == "tests"} == {None}


def test_every_session_names_its_device(sessions):
    devices = {s["name"]: s["tags"] for s in sessions if s["name"] != "build"}
    assert all(tags in (["cpu"], ["gpu"]) for tags in devices.values())


def test_light_packages_pull_no_framework(noxfile):
    heavy = {name for name in noxfile.PACKAGES if noxfile.needs_framework(name)}
    assert heavy == {"ptycho-tf", "ptycho-torch", "ptychopinn"}


def test_closure_follows_extras(noxfile):
    siblings, outside = noxfile.closure("ptychopinn[torch]")
    assert siblings["ptychopinn"] == siblings["ptycho-cli"] == {"torch"}
    assert siblings["ptycho-data"] == {"bundle", "pictures"}
    assert {"torch", "safetensors"} <= {r.name for r in outside}
    assert "ptycho-tf" not in siblings


def test_closure_of_the_lowest_layer_is_itself(noxfile):
    siblings, outside = noxfile.closure("ptycho-config")
    assert siblings == {"ptycho-config": set()}
    assert "attrs" in {r.name for r in outside}
    assert "numpy" not in {r.name for r in outside}


def test_oldest_takes_the_highest_lower_bound(noxfile):
    assert noxfile.oldest("click>=8.1,<9", "click>=8.2") == ["click==8.2"]


def test_tensorflow_is_tested_on_a_gpu_in_its_build_for_one(tagged, noxfile):
    jobs = {s["call_spec"]["job"] for s in tagged if s["name"] == "gpu-tensorflow"}
    assert jobs == {"tests", "demo"}
    siblings, outside = noxfile.closure("ptycho-cli[tf-gpu]")
    assert siblings["ptycho-tf"] == {"gpu"}
    (tensorflow,) = [r for r in outside if r.name.startswith("tensorflow")]
    assert (tensorflow.name, tensorflow.extras) == ("tensorflow", {"and-cuda"})


def test_constraints_pin_every_requirement(noxfile, root):
    lines = (root / "constraints.txt").read_text("utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    assert all("+" not in pin for pin in pins.values())  # local builds are the machine's choice
    pinned = {noxfile.canonicalize_name(name): pin for name, pin in pins.items()}
    for requirement in noxfile.closure(*noxfile.everything("torch", "tf"))[1]:
        name = noxfile.canonicalize_name(requirement.name)
        assert requirement.specifier.contains(pinned[name]), f"{requirement} is {pinned[name]}"
