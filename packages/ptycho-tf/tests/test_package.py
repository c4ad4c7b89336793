"""The package as installed: its version, and an import that costs nothing."""

import json
import subprocess
import sys
from importlib.metadata import version

import ptycho_tf


def test_version_is_the_distribution_version():
    assert ptycho_tf.__version__ == version("ptycho-tf")


def test_import_loads_no_framework():
    code = "import json, sys, ptycho_tf; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(  # noqa: S603  our own interpreter, a constant program
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert not {"keras", "numpy", "tensorflow", "torch"} & set(json.loads(done.stdout))
