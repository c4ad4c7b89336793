import pytest
from ptycho_config import ConfigError, InferenceConfig, ModelConfig, to_dict


def test_defaults_are_the_contract():
    values = to_dict(InferenceConfig())
    assert values == {
        "model": to_dict(ModelConfig()),
        "n_groups": None,
        "n_subsample": None,
        "subsample_seed": None,
        "neighbor_count": 4,
        "debug": False,
        "domain": None,
        "backend": "pytorch",
    }


def test_all_violations_at_once():
    with pytest.raises(ConfigError) as caught:
        InferenceConfig(backend="two words", debug="yes")
    assert [text.split()[0] for text in caught.value.problems] == [
        "debug",
        "backend",
    ]


def test_groups_need_neighbours():
    with pytest.raises(ConfigError, match="neighbor_count must be >= 8"):
        InferenceConfig(model=ModelConfig(gridsize=3))
