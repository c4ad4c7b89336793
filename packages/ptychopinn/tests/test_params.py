import json
import subprocess
import sys

import pytest
from ptycho import params
from ptycho_config import ModelConfig, RunFiles, TrainingConfig, update_legacy_dict
from ptycho_config import params as shared


@pytest.fixture(autouse=True)
def empty():
    params.cfg.clear()
    yield
    params.cfg.clear()


def test_a_configuration_is_written_and_read():
    config = TrainingConfig(model=ModelConfig(N=128, gridsize=2))
    update_legacy_dict(params.cfg, config)
    assert (params.get("N"), params.get("gridsize"), params.get("object.big")) == (128, 2, True)
    update_legacy_dict(params.cfg, RunFiles(train_data_file="scan.npz"))
    assert params.get("train_data_file_path") == "scan.npz"


def test_values_of_callers():
    params.set("intensity_scale", 3.5)
    assert params.get("intensity_scale") == 3.5
    assert params.cfg == {"intensity_scale": 3.5}


def test_what_is_missing_is_a_key_error_that_helps():
    with pytest.raises(KeyError, match="no value yet: update_legacy_dict"):
        params.get("N")
    with pytest.raises(KeyError, match="intensity_scale is no key"):
        params.get("intensity_scale")


def test_there_is_one_dictionary():
    assert params.cfg is shared.cfg


def test_import_is_light():
    code = "import json, sys, ptycho.params; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(  # noqa: S603  our own interpreter, a constant program
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert not {"click", "keras", "numpy", "tensorflow", "torch"} & set(json.loads(done.stdout))
