import attrs
import pytest
from ptycho_config import ConfigError, ModelConfig, TrainingConfig


def test_defaults_are_the_contract():
    assert attrs.asdict(ModelConfig()) == {
        "N": 64,
        "gridsize": 1,
        "n_filters_scale": 2,
        "model_type": "pinn",
        "architecture": "unrolled",
        "amp_activation": "sigmoid",
        "object_big": True,
        "joint_stages": False,
        "probe_big": True,
        "probe_mask": False,
        "pad_object": True,
        "probe_scale": 4.0,
        "gaussian_smoothing_sigma": 0.0,
    }


@pytest.mark.parametrize(("gridsize", "channels"), [(1, 1), (2, 4), (3, 9), (4, 16), (5, 25)])
def test_gridsize_drives_channels(gridsize, channels):
    assert ModelConfig(gridsize=gridsize).channels == channels


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("N", 0),
        ("N", 96),
        ("N", 64.0),
        ("N", "64"),
        ("N", True),
        ("gridsize", 0),
        ("gridsize", 6),
        ("gridsize", True),
        ("n_filters_scale", 5),
        ("model_type", "PINN"),
        ("architecture", ""),
        ("architecture", "../x"),
        ("architecture", "two words"),
        ("amp_activation", "tanh"),
        ("object_big", 1),
        ("probe_scale", 0),
        ("probe_scale", float("inf")),
        ("gaussian_smoothing_sigma", -0.1),
    ],
)
def test_bad_value_names_field_rule_and_value(field, value):
    with pytest.raises(ConfigError) as caught:
        ModelConfig(**{field: value})
    (problem,) = caught.value.problems
    assert problem.startswith(f"{field} must be ")
    assert problem.endswith(f", got {value!r}")


def test_all_violations_at_once():
    with pytest.raises(ConfigError) as caught:
        ModelConfig(N=65, gridsize=0, probe_scale=-1, model_type="x")
    assert {text.split()[0] for text in caught.value.problems} == {
        "N",
        "gridsize",
        "probe_scale",
        "model_type",
    }


def test_frozen_and_hashable():
    config = ModelConfig()
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        config.N = 128
    assert hash(config) == hash(ModelConfig())


def test_fields_are_documented_in_the_class():
    for field in attrs.fields(ModelConfig):
        assert f"    {field.name} : " in ModelConfig.__doc__


def test_the_architecture_may_be_a_class():
    assert ModelConfig(architecture="lab.networks:Small_2").architecture == "lab.networks:Small_2"
    for value in ("lab:", ":Small", "lab:a:b", "../lab:Small", "lab:Small.made", "lab: Small"):
        with pytest.raises(ConfigError) as caught:
            ModelConfig(architecture=value)
        assert caught.value.names == ("architecture",)
    with pytest.raises(ConfigError):  # only the architecture may
        TrainingConfig(backend="lab:Small")
