import json

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ptycho_config import (
    LEGACY_KEYS,
    InferenceConfig,
    ModelConfig,
    PyTorchExecutionConfig,
    RunFiles,
    TrainingConfig,
    from_dict,
    option_specs,
    update_legacy_dict,
)

RENAMED = {
    "object_big": "object.big",
    "probe_big": "probe.big",
    "probe_mask": "probe.mask",
    "probe_trainable": "probe.trainable",
    "intensity_scale_trainable": "intensity_scale.trainable",
    "positions_provided": "positions.provided",
    "train_data_file": "train_data_file_path",
    "test_data_file": "test_data_file_path",
    "output_dir": "output_prefix",
}
WITHOUT = {
    "backend",
    "seed",
    "domain",
    "probe_file",
    "positions_trainable",
    "synthetic_batches",
    "average_weights",
    "joint_stages",
}


def test_the_key_table_is_the_contract():
    fields = {
        spec.name
        for cls in (ModelConfig, TrainingConfig, InferenceConfig, RunFiles)
        for spec in option_specs(cls)
    }
    assert {name: RENAMED.get(name, name) for name in fields - WITHOUT} == LEGACY_KEYS


@pytest.mark.parametrize("cls", [TrainingConfig, InferenceConfig])
@given(data=st.data())
def test_round_trip_through_the_dictionary(cls, data, whole):
    names = {spec.name for part in (cls, ModelConfig) for spec in option_specs(part)} - WITHOUT
    values = {k: v for k, v in data.draw(whole(cls)).items() if k in names}
    config = from_dict(cls, values)
    cfg = {}
    update_legacy_dict(cfg, config)
    fields = {key: name for name, key in LEGACY_KEYS.items()}
    assert from_dict(cls, {fields[key]: value for key, value in cfg.items()}) == config
    json.dumps(cfg)  # plain values only: no paths, no enumerations


def test_keys_of_others_stay_and_stale_ones_go():
    cfg = {"intensity_scale": 3.5, "test_data_file_path": "old.npz", "N": 64}
    config = TrainingConfig(model=ModelConfig(N=128))
    assert update_legacy_dict(cfg, config) is None
    assert cfg["test_data_file_path"] == "old.npz"  # of others, too: a configuration has no paths
    update_legacy_dict(cfg, RunFiles(train_data_file="s.npz"))
    assert (cfg["intensity_scale"], cfg["test_data_file_path"], cfg["N"]) == (3.5, None, 128)
    assert cfg["train_data_file_path"] == "s.npz"
    assert "model" not in cfg


def test_execution_settings_stay_out():
    cfg = {}
    with pytest.raises(TypeError, match="PyTorchExecutionConfig has no fields with legacy keys"):
        update_legacy_dict(cfg, PyTorchExecutionConfig())
    assert cfg == {}
    names = {spec.name for spec in option_specs(PyTorchExecutionConfig)}
    assert names.isdisjoint(LEGACY_KEYS)


def test_a_clients_own_mutable_configuration_is_read_too():
    @attrs.define
    class Model:
        N: int = 0
        object_big: bool = False

    @attrs.define
    class Training:
        model: Model
        nphotons: float = 5.0

    cfg = {}
    update_legacy_dict(cfg, Training(Model()))
    assert cfg == {"N": 0, "object.big": False, "nphotons": 5.0}


@pytest.mark.parametrize("cls", [TrainingConfig, InferenceConfig])
def test_files_given_to_a_configuration_are_dropped_with_a_warning(cls):
    with pytest.warns(DeprecationWarning, match="test_data_file") as caught:
        config = cls(test_data_file="b.npz", n_groups=8)
    assert caught[0].filename == __file__
    assert config == cls(n_groups=8)
    with pytest.raises(TypeError):
        cls(no_such_setting=1)
