import copy
import json
import pickle
import subprocess
import sys
from pathlib import Path

import ptycho_config
import pytest
from ptycho.config.config import (
    InferenceConfig,
    ModelConfig,
    PyTorchExecutionConfig,
    TrainingConfig,
    update_legacy_dict,
)
from ptycho_config import LEGACY_KEYS, option_specs

MODEL = {  # what ptychodus 1.7 gives
    "N": 0,
    "gridsize": 2,
    "n_filters_scale": 2,
    "model_type": "supervised",
    "amp_activation": "swish",
    "object_big": True,
    "probe_big": False,
    "probe_mask": False,
    "pad_object": True,
    "probe_scale": 4.0,
    "gaussian_smoothing_sigma": 0.0,
}


def training():
    return TrainingConfig(
        model=ModelConfig(**MODEL),
        train_data_file=Path(),
        test_data_file=None,
        batch_size=16,
        nepochs=50,
        mae_weight=0.0,
        nll_weight=1.0,
        realspace_mae_weight=0.0,
        realspace_weight=0.0,
        nphotons=1e6,
        positions_provided=True,
        probe_trainable=False,
        intensity_scale_trainable=True,
        output_dir=Path(),
    )


def test_the_size_is_filled_in_later():
    config = training()
    config.model.N = 128
    assert (config.model.N, config.model.gridsize, config.nepochs) == (128, 2, 50)


@pytest.mark.parametrize("copied", [lambda x: pickle.loads(pickle.dumps(x)), copy.deepcopy])  # noqa: S301  our own bytes
def test_settings_cross_process_borders(copied):
    config = training()
    other = copied(config)
    assert other == config
    other.model.N = 64
    assert config.model.N == 0
    assert other != config


@pytest.mark.parametrize("cls", [ModelConfig, TrainingConfig, InferenceConfig])
def test_fields_and_defaults_are_those_of_the_configuration(cls):
    own = {"architecture", "backend", "train_data_file", "model_path", "test_data_file",
           "output_dir"}  # fmt: skip
    for spec in option_specs(getattr(ptycho_config, cls.__name__)):
        value = getattr(cls(), spec.name)
        assert spec.name in own or value == spec.default, spec.name


def test_what_was_not_set_is_not_given():
    config = TrainingConfig(nepochs=3)
    assert config.given() == {"nepochs": 3, "model": ModelConfig()}
    assert config.model.given() == {}
    assert TrainingConfig().model is not TrainingConfig().model


def test_positions_of_arguments_are_those_of_the_fields():
    assert ModelConfig(64, 2) == ModelConfig(N=64, gridsize=2)
    assert TrainingConfig(ModelConfig(N=128)).model.N == 128


def test_misuse_is_told():
    with pytest.raises(TypeError, match="grid is not a setting of ModelConfig"):
        ModelConfig(grid=2)
    with pytest.raises(TypeError, match="N must be given once"):
        ModelConfig(64, N=64)
    with pytest.raises(TypeError, match=r"ModelConfig has \d+ settings, got 99 values"):
        ModelConfig(*range(99))
    with pytest.raises(AttributeError, match="ModelConfig has no setting 'grid'"):
        _ = ModelConfig().grid


def test_nothing_is_checked_before_use():
    assert ModelConfig(gridsize="many").gridsize == "many"


def test_it_shows_what_was_set():
    assert repr(ModelConfig(N=64)) == "ModelConfig(N=64)"
    assert ModelConfig() != "ModelConfig()"
    with pytest.raises(TypeError, match="unhashable"):
        hash(ModelConfig())


def test_legacy_dictionary():
    cfg = {"of_the_caller": 1}
    update_legacy_dict(cfg, training())
    assert cfg["of_the_caller"] == 1
    assert (cfg["N"], cfg["gridsize"], cfg["object.big"], cfg["probe.trainable"]) == (
        0,
        2,
        True,
        False,
    )
    assert cfg["backend"] is None
    assert (cfg["train_data_file_path"], cfg["output_prefix"]) == (".", ".")
    assert set(cfg) - {"of_the_caller", "backend"} <= set(LEGACY_KEYS.values())
    update_legacy_dict(cfg, InferenceConfig(model=ModelConfig(N=64), backend="pytorch"))
    assert (cfg["N"], cfg["gridsize"], cfg["backend"]) == (64, 1, "pytorch")


def test_import_loads_no_framework():
    code = "import json, sys, ptycho.config.config; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(  # noqa: S603  our own interpreter, a constant program
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert not {"keras", "numpy", "tensorflow", "torch"} & set(json.loads(done.stdout))


def test_execution_settings_have_the_defaults_of_older_callers():
    older, today = PyTorchExecutionConfig(), ptycho_config.PyTorchExecutionConfig()
    assert isinstance(older, ptycho_config.PyTorchExecutionConfig)
    assert (older.accelerator, older.learning_rate, older.gradient_clip_val) == ("cpu", 1e-3, None)
    changed = {"accelerator", "learning_rate", "gradient_clip_val"}
    for spec in option_specs(ptycho_config.PyTorchExecutionConfig):
        assert spec.name in changed or getattr(older, spec.name) == getattr(today, spec.name)
    with pytest.raises(ptycho_config.ConfigError) as caught:
        PyTorchExecutionConfig(devices=0)
    assert caught.value.names == ("devices",)
