"""The package as installed: its version, and an import that costs nothing."""

import json
import subprocess
import sys
from importlib.metadata import version

import ptycho
import pytest


def test_version_is_the_distribution_version():
    assert ptycho.__version__ == version("ptychopinn")


def test_import_loads_no_framework():
    code = "import json, sys, ptycho; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(  # noqa: S603  our own interpreter, a constant program
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert not {"keras", "numpy", "tensorflow", "torch"} & set(json.loads(done.stdout))


def test_no_module_loads_a_framework():
    modules = (
        "config.config, ptycho.loader, ptycho.model, ptycho.model_manager, ptycho.params, "
        "ptycho.probe, ptycho.raw_data, ptycho.tf_helper, ptycho.workflows.components"
    )
    code = f"import json, sys, ptycho.{modules}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(  # noqa: S603  our own interpreter, a constant program
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert not {"keras", "lightning", "tensorflow", "torch"} & set(json.loads(done.stdout))


def test_modules_are_there_without_an_import():
    code = "import ptycho; print(ptycho.raw_data.RawData.__name__, ptycho.params.cfg)"
    done = subprocess.run(  # noqa: S603  our own interpreter, a constant program
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["RawData", "{}"]
    assert "workflows" in dir(ptycho)
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = ptycho.nonsense


def test_the_command_is_not_needed():
    code = (
        "import sys; sys.modules['ptycho_cli'] = None;"
        "import ptycho.workflows.components, ptycho.loader, ptycho.raw_data"
    )
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603  our own interpreter
