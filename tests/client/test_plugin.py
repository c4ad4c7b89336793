"""ptychodus finds us, with our version, and its parent process stays light."""

import json
import logging
import pickle
import subprocess
import sys
import zipfile
from importlib.metadata import version

import numpy as np
import pytest
from ptychodus.api.settings import SettingsRegistry
from ptychodus.model.processing._subprocess_protocol import ChildError
from ptychodus.model.ptychopinn import PtychoPINNReconstructorLibrary


def test_it_is_found_with_its_version(caplog):
    caplog.set_level(logging.INFO)
    library = PtychoPINNReconstructorLibrary(SettingsRegistry(), False)
    assert [item.name for item in library] == ["PINN", "Supervised"]
    assert f"PtychoPINN {version('ptychopinn')}" in caplog.messages


def test_the_tested_version_of_ptychodus():
    assert version("ptychodus") == "1.7.0"


def test_the_parent_process_loads_no_framework():
    code = """
import json, sys
from pathlib import Path
from ptychodus.api.settings import SettingsRegistry
from ptychodus.model.ptychopinn import PtychoPINNReconstructorLibrary
from ptychodus.model.ptychopinn.reconstructor import _build_training_config as build
library = PtychoPINNReconstructorLibrary(SettingsRegistry(), False)
config = build(library.model_settings, library.training_settings, "PINN")
print(json.dumps([config.nepochs, config.model.N, sorted(sys.modules)]))
"""
    done = subprocess.run(  # noqa: S603  our own interpreter, a constant program
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    nepochs, N, modules = json.loads(done.stdout.splitlines()[-1])
    assert (nepochs, N) == (50, 0)
    assert not {"keras", "lightning", "tensorflow", "torch"} & set(modules)


def test_exported_training_data(experiment, reconstructor, tmp_path):
    path = tmp_path / "train_data.npz"
    reconstructor("PINN", 1).export_training_data(path, experiment.input)
    with np.load(path) as file:
        assert file["diff3d"].dtype == np.uint16
        assert "diffraction" not in file


class Bomb:
    """Fails the test when it is unpickled."""

    def __reduce__(self):
        return pytest.fail, ("was unpickled",)


def test_bundles_of_the_original_project_are_refused(experiment, reconstructor, tmp_path):
    with zipfile.ZipFile(tmp_path / "model.zip", "w") as archive:
        archive.writestr("manifest.dill", pickle.dumps(Bomb()))
    user = reconstructor("PINN", 1)
    user.load_model_from_file(tmp_path / "model.zip")
    with pytest.raises(ChildError, match=r"pickled models of an older system.*train again"):
        list(user.reconstruct(experiment.input))
