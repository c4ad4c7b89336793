import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ptycho_config import CONFIG_CLASSES, ConfigError, ModelConfig, TrainingConfig, option_specs
from ptycho_config.errors import describe

FIELDS = [(cls, spec) for cls in CONFIG_CLASSES for spec in option_specs(cls)]


@settings(max_examples=2000)
@given(data=st.data())
def test_a_bad_value_is_a_config_error_that_names_its_field(data, bad):
    cls, spec = data.draw(st.sampled_from(FIELDS))
    value = data.draw(bad(spec))
    with pytest.raises(ConfigError) as caught:
        cls(**{spec.name: value})
    named = [text for text in caught.value.problems if text.startswith(f"{spec.name} must be ")]
    assert len(named) == 1
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, ValueError)


@settings(max_examples=300)
@given(data=st.data())
def test_a_valid_value_is_no_problem_of_its_own(data, valid):
    cls, spec = data.draw(st.sampled_from(FIELDS))
    value = data.draw(valid(spec))
    refusal = None
    try:
        config = cls(**{spec.name: value})
    except ConfigError as error:
        refusal = str(error)
    if refusal:  # a rule between fields, never the field's own
        assert f"{spec.name} must be {spec.rule}," not in refusal
    else:
        received = getattr(config, spec.name)
        assert str(received) == value if isinstance(value, str) else received == value


@given(parts=st.lists(st.sampled_from(option_specs(ModelConfig)), unique=True), data=st.data())
def test_every_violation_is_reported(parts, data, bad):
    values = {spec.name: data.draw(bad(spec)) for spec in parts}
    if not values:
        assert ModelConfig(**values) == ModelConfig()
        return
    with pytest.raises(ConfigError) as caught:
        ModelConfig(**values)
    assert {text.split()[0] for text in caught.value.problems} == set(values)


def test_whole_numbers_become_floats():
    config = TrainingConfig(nphotons=10**6)
    assert isinstance(config.nphotons, float)


def test_array_scalars_become_python_numbers(zero_dim):
    config = ModelConfig(N=zero_dim(128), probe_scale=zero_dim(2), probe_mask=zero_dim(True))
    assert config == ModelConfig(N=128, probe_scale=2.0, probe_mask=True)
    assert (type(config.N), type(config.probe_scale)) == (int, float)


def test_evolve_checks_again():
    with pytest.raises(ConfigError, match="gridsize"):
        attrs.evolve(ModelConfig(), gridsize=9)


def test_received_values_are_shown_on_one_short_line():
    assert describe("a\nb") == r"'a\nb'"
    assert len(describe("x" * 500)) == 80
    assert describe(10**5000) == "<int>"
