import pytest
from ptycho_config import ConfigError, InferenceConfig, ModelConfig, to_dict


def test_defaults_are_the_contract():
    values = to_dict(InferenceConfig(model_path="bundle", test_data_file="scan.npz"))
    assert values == {
        "model": to_dict(ModelConfig()),
        "model_path": "bundle",
        "test_data_file": "scan.npz",
        "n_groups": None,
        "n_subsample": None,
        "subsample_seed": None,
        "neighbor_count": 4,
        "debug": False,
        "domain": None,
        "probe_file": None,
        "output_dir": "inference_outputs",
        "backend": "tensorflow",
    }


def test_all_violations_at_once():
    with pytest.raises(ConfigError) as caught:
        InferenceConfig(model_path="", test_data_file=None, backend="x", debug="yes")
    assert [text.split()[0] for text in caught.value.problems] == [
        "model_path",
        "test_data_file",
        "debug",
        "backend",
    ]


def test_groups_need_neighbours():
    with pytest.raises(ConfigError, match="neighbor_count must be >= 8"):
        InferenceConfig(model_path="b", test_data_file="s", model=ModelConfig(gridsize=3))
