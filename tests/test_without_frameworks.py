"""Without PyTorch or TensorFlow every entry ends in one error that says what to install.

Where a framework is installed, a copy of the environment without it takes its place: folders of
links to everything else. The session `bare` runs the same tests where none is installed.
"""

import json
import os
import subprocess
import sys
from importlib.metadata import packages_distributions
from importlib.util import find_spec
from pathlib import Path

import pytest
from ptycho_core.testing import FakeBackend, registered, simulated_scan
from ptycho_data import save_scan

EVERY_MODULE = """
import json, sys
from importlib import import_module
from pathlib import Path

found = {}
for package in map(import_module, sys.argv[1:]):
    folder = Path(package.__file__).parent
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder.parent).with_suffix("").parts
        name = ".".join(part for part in parts if part != "__init__")
        if parts[-1] == "__main__":
            continue
        try:
            import_module(name)
            found[name] = ("", "")
        except Exception as error:
            found[name] = (type(error).__name__, str(error))
print(json.dumps(found))
"""
LIGHT = [
    "ptycho_torch.train",
    "ptycho_torch.inference",
    "ptycho_torch.backend",
    "ptycho_tf.backend",
]
NEEDED = {
    "torch": ["training", "reconstruction", "reconstructor", "model", "model_manager"],
    "lightning": ["training", "module", "fitting", "workflows.components"],
    "tensorflow": ["training", "reconstruction", "model", "bundles", "namespace", "networks.cnn"],
}
CALLS = """
from ptycho_config import PyTorchExecutionConfig, TrainingConfig

def torch_train():
    from ptycho_torch import train
    train({scan!r}, output={out!r})

def torch_settings():
    from ptycho_torch.settings import check_training
    check_training(TrainingConfig(), PyTorchExecutionConfig())

def torch_processes():
    from ptycho_torch.devices import open_runner
    open_runner(PyTorchExecutionConfig(devices=2))

def torch_reconstruct():
    from ptycho_torch import reconstruct
    reconstruct({model!r}, {scan!r})

def torch_live():
    from ptycho_torch import Reconstructor

def tf_train():
    from ptycho_tf import train
    train({scan!r}, output={out!r})

def tf_reconstruct():
    from ptycho_tf import reconstruct
    reconstruct({model!r}, {scan!r})

for call in {calls}:
    try:
        globals()[call]()
        print(call, "returned")
    except RuntimeError as error:
        print(error)
"""
WITHOUT_LIGHTNING = ["torch_train", "torch_settings", "torch_processes"]
WITHOUT_ALL = [
    *WITHOUT_LIGHTNING,
    "torch_reconstruct",
    "torch_live",
    "tf_train",
    "tf_reconstruct",
]
COMMANDS = [
    "-m ptycho_torch.train --train_data_file {scan} --output_dir {out}",
    "-m ptycho_cli train {scan} -o {out}",
    "-m ptycho_torch.inference --model_path {model} --test_data {scan} --output_dir {out}",
    "-m ptycho_cli infer {model} {scan} -o {out}",
    "-m ptycho_cli demo -o {out}",
    "-m ptycho_cli train {scan} -o {out} --backend tensorflow",
    "-m ptycho_cli infer {model} {scan} -o {out} --backend tensorflow",
    "-m ptycho_cli demo -o {out} --backend tensorflow",
]
CASES = {
    "none": (("torch", "lightning", "tensorflow", "keras"), WITHOUT_ALL, COMMANDS),
    "no lightning": (("lightning",), WITHOUT_LIGHTNING, COMMANDS[:2]),
}


def links_without(folder, hidden, target):
    """Make links in a new folder to what is in a folder of packages, except hidden packages."""
    distributions = {d for name in hidden for d in packages_distributions().get(name, [])}
    infos = tuple(f"{d.replace('-', '_')}-" for d in distributions)
    target.mkdir()
    for path in Path(folder).iterdir():
        if path.name not in hidden and not path.name.startswith(infos):
            (target / path.name).symlink_to(path)
    return target


@pytest.fixture(scope="module", params=CASES)
def case(request):
    """Names that are not installed, and the calls and commands that then fail."""
    if request.param == "no lightning" and find_spec("torch") is None:
        pytest.skip("needs PyTorch without Lightning")
    return CASES[request.param]


@pytest.fixture(scope="module")
def python(case, tmp_path_factory):
    """Run Python where the frameworks are not installed, and return the finished process."""
    hidden = case[0]
    place, folders = tmp_path_factory.mktemp("without"), []
    for number, folder in enumerate(path for path in sys.path if Path(path).is_dir()):
        there = any((Path(folder) / name).exists() for name in hidden)
        folders.append(links_without(folder, hidden, place / f"{number}") if there else folder)
    environment = {k: v for k, v in os.environ.items() if k != "PTYCHO_BACKEND"}
    environment |= {"PYTHONPATH": os.pathsep.join(map(str, folders)), "COLUMNS": "500"}

    def run(*words):
        return subprocess.run(  # noqa: S603 - our own interpreter
            # without the module site, which would add the folders of packages themselves
            [sys.executable, "-S", *words],
            env=environment,
            cwd=place,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A scan, and a bundle that says that PyTorch made it."""
    from ptycho_core import train

    folder = tmp_path_factory.mktemp("files")
    scan = simulated_scan(12)
    save_scan(folder / "scan.npz", scan)
    with registered(FakeBackend(name="pytorch")):
        train(scan, output=folder / "model", nepochs=1, progress=False)
    return {"scan": str(folder / "scan.npz"), "model": str(folder / "model")}


def test_every_module_imports_or_says_what_to_install(python, case, import_names):
    done = python("-c", EVERY_MODULE, *import_names.values())
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    for name, (kind, message) in found.items():
        gone = kind == "ImportError" and " is gone" in message
        assert kind in ("", "MissingPackageError") or gone, f"{name}: {kind}: {message}"
        assert ("pip install" in message) == (kind == "MissingPackageError")
    for framework in set(case[0]) & NEEDED.keys():
        package = "ptycho_tf" if framework == "tensorflow" else "ptycho_torch"
        for module in NEEDED[framework]:
            assert framework in found[f"{package}.{module}"][1]
    assert {found[name][0] for name in LIGHT} == {""}


def test_calls_raise_one_error(python, case, files, tmp_path):
    done = python("-c", CALLS.format(calls=case[1], out=str(tmp_path / "out"), **files))
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) == len(case[1])
    assert all("pip install" in line for line in lines), lines
    assert not (tmp_path / "out").exists()


def test_commands_end_with_one_line(python, case, files, tmp_path):
    for command in case[2]:
        done = python(*command.format(out=tmp_path / "out", **files).split())
        assert (done.returncode, done.stdout) == (1, ""), done.stderr
        (line,) = done.stderr.splitlines()
        assert "pip install" in line
        assert not (tmp_path / "out").exists()
