import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ptycho_config import (
    CONFIG_CLASSES,
    ConfigError,
    InferenceConfig,
    ModelConfig,
    PyTorchExecutionConfig,
    RunFiles,
    TrainingConfig,
    from_dict,
    option_specs,
    to_dict,
)


def of_class(cls, values):
    names = {spec.name for part in (cls, ModelConfig) for spec in option_specs(part)}
    if cls is PyTorchExecutionConfig:
        names = {spec.name for spec in option_specs(cls)}
    return from_dict(cls, {name: value for name, value in values.items() if name in names})


@pytest.mark.parametrize("cls", [TrainingConfig, InferenceConfig, PyTorchExecutionConfig])
@given(data=st.data())
def test_round_trips(cls, data, whole):
    base = cls if cls is not PyTorchExecutionConfig else TrainingConfig
    config = of_class(cls, data.draw(whole(base)))
    assert from_dict(cls, json.loads(json.dumps(to_dict(config)))) == config
    assert pickle.loads(pickle.dumps(config)) == config  # noqa: S301  # our own bytes


def problems(cls, values):
    with pytest.raises(ConfigError) as caught:
        from_dict(cls, values)
    return caught.value.problems


def test_model_fields_flat_or_in_a_table():
    flat = from_dict(TrainingConfig, {"N": 128})
    assert flat == from_dict(TrainingConfig, {"model": {"N": 128}})
    model = ModelConfig(N=128)
    assert flat == from_dict(TrainingConfig, {"model": model})


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("batchsize", "did you mean batch_size?"),
        ("batch-size", "did you mean batch_size?"),
        ("--batch-size", "did you mean batch_size?"),
        ("max_epochs", "did you mean nepochs?"),
        ("mode", "did you mean model_type?"),
        ("K", "did you mean neighbor_count?"),
        ("nll", "did you mean nll_weight?"),
        ("object.big", "did you mean object_big?"),
        ("n_image", "did you mean n_groups?"),
        ("n", "did you mean N?"),
        ("learning_rate", "learning_rate belongs to execution"),
        ("debug", "debug belongs to inference"),
    ],
)
def test_unknown_keys_get_a_suggestion(key, hint):
    (problem,) = problems(TrainingConfig, {key: 1})
    assert "is not a setting" in problem
    assert problem.endswith(hint)


@pytest.mark.parametrize("key", ["zzzzzz", 7, None, ("a",), "two words"])
def test_unknown_keys_without_likeness(key):
    (problem,) = problems(ModelConfig, {key: 1})
    assert problem.endswith("is not a setting")


def test_problems_of_all_parts_at_once():
    found = problems(
        TrainingConfig, {"model": {"N": 65, "depth": 3}, "batch_size": 0, "batchsize": 1}
    )
    assert [text.split()[0] for text in found] == [
        "depth",
        "batchsize",
        "N",
        "batch_size",
    ]
    assert "depth is not a setting of model" in found


def test_a_field_given_twice():
    (problem,) = problems(TrainingConfig, {"N": 64, "model": {"N": 64}})
    assert problem.startswith("N must be given once")


@pytest.mark.parametrize("table", [None, 3, [("N", 64)], PyTorchExecutionConfig()])
def test_a_table_that_is_none(table):
    (problem,) = problems(TrainingConfig, {"model": table})
    assert problem.startswith("model must be a table of settings, got ")


def test_settings_must_be_a_mapping():
    assert "settings must be a table" in str(problems(ModelConfig, [1, 2])[0])


def test_names_are_unique_where_they_are_given_together():
    for cls in (TrainingConfig, InferenceConfig):
        names = [
            s.name
            for part in (cls, ModelConfig, PyTorchExecutionConfig, RunFiles)
            for s in option_specs(part)
        ]
        assert len(names) == len(set(names))
    assert len(CONFIG_CLASSES) == 5
