from pathlib import Path

import attrs
import pytest
from ptycho_config import (
    CONFIG_CLASSES,
    ConfigError,
    ModelConfig,
    PyTorchExecutionConfig,
    RunFiles,
    TrainingConfig,
    option_specs,
)
from ptycho_config.options import parse_number, shown_number

SPECS = [(cls, spec) for cls in CONFIG_CLASSES for spec in option_specs(cls)]


def spec_of(cls, name):
    return next(spec for spec in option_specs(cls) if spec.name == name)


@pytest.mark.parametrize("cls", CONFIG_CLASSES)
def test_every_field_is_described(cls):
    names = [field.name for field in attrs.fields(cls) if field.name != "model"]
    assert [spec.name for spec in option_specs(cls)] == names


@pytest.mark.parametrize("spec", [spec for _, spec in SPECS], ids=lambda spec: spec.name)
def test_descriptions_can_be_read_by_people(spec):
    assert spec.help[0].isupper() or spec.help.startswith("NPZ")
    assert spec.help.endswith(".")
    assert 15 <= len(spec.help) <= 200
    assert bool(spec.none_means) == spec.optional
    if spec.default is None:
        assert spec.example is not None


@pytest.mark.parametrize(
    ("cls", "spec"),
    [(cls, spec) for cls, spec in SPECS if spec.example is not None],
    ids=lambda part: getattr(part, "name", None),
)
def test_examples_are_valid(cls, spec):
    company = {
        "prefetch_factor": {"num_workers": 1},
        "neighbor_pool_size": {"enable_oversampling": True, "model": ModelConfig(gridsize=2)},
    }
    config = cls(**{**company.get(spec.name, {}), spec.name: spec.example})
    assert str(getattr(config, spec.name)) == str(spec.example)


def test_flags_are_kebab_case_and_unique_per_command():
    training = (ModelConfig, TrainingConfig, PyTorchExecutionConfig, RunFiles)
    flags = [flag for cls in training for spec in option_specs(cls) for flag in spec.flags]
    assert len(flags) == len(set(flags))
    assert not [flag for flag in flags if "_" in flag or not flag.startswith("--")]
    assert {"--N", "--batch-size", "--no-object-big", "--learning-rate"} <= set(flags)


def test_a_value_flag():
    spec = spec_of(TrainingConfig, "batch_size")
    assert (spec.flags, spec.flag_values) == (("--batch-size",), ())
    assert (spec.type, spec.minimum, spec.default, spec.group) == (int, 1, 16, "Training")
    assert (spec.rule, spec.default_text()) == ("an integer >= 1", "16")


def test_a_switch():
    spec = spec_of(ModelConfig, "object_big")
    assert spec.flags == ("--object-big", "--no-object-big")
    assert spec.flag_values == (True, False)
    assert spec.default_text() == "true"


def test_a_switch_of_three_states_has_a_flag_for_each():
    spec = spec_of(PyTorchExecutionConfig, "deterministic")
    assert spec.flags == ("--deterministic", "--no-deterministic", "--deterministic-warn")
    assert spec.flag_values == (True, False, "warn")
    assert spec.choices == (True, False, "warn")


def test_choices_come_from_the_annotation():
    assert spec_of(TrainingConfig, "backend").choices == ()  # whatever is installed
    assert spec_of(TrainingConfig, "domain").choices == ("counts", "amplitude")
    assert spec_of(TrainingConfig, "domain").optional
    assert "WarmupCosine" in spec_of(PyTorchExecutionConfig, "scheduler").choices
    assert spec_of(PyTorchExecutionConfig, "scheduler").default == "Default"


def test_paths():
    spec = spec_of(RunFiles, "probe_file")
    assert (spec.type, spec.optional, spec.default) == (Path, True, None)
    assert spec.default_text() == "the probe of the scan"


def test_a_commands_own_default_can_be_shown():
    assert spec_of(ModelConfig, "architecture").default_text("unrolled") == "unrolled"
    assert spec_of(TrainingConfig, "n_groups").default_text() == "all"


@pytest.mark.parametrize(
    ("value", "text"),
    [(1e9, "1e9"), (1e-3, "0.001"), (4.0, "4"), (1e-7, "1e-7"), (1234567.0, "1234567.0")],
)
def test_numbers_are_short_and_exact(value, text):
    assert shown_number(value) == text
    assert float(text) == value


@pytest.mark.parametrize(
    "text", ["1_0", "\u0663", " 1", "1 ", "", "0x10", "1e3", "1.0", "9" * 5000, "nan"]
)
def test_whole_numbers_are_decimal_digits(text):
    with pytest.raises(ValueError, match=r"^an integer expected, found .{1,90}\.$"):
        parse_number(int, text)


@pytest.mark.parametrize(
    "text", ["1_0.5", "\u0663", "nan", "inf", "-Infinity", "0x1p3", "", " 1", "1e"]
)
def test_numbers_are_decimal(text):
    with pytest.raises(ValueError, match=r"^a finite number expected, found"):
        parse_number(float, text)


def test_numbers_of_the_command_line_are_read():
    assert [parse_number(int, text) for text in ("0", "-7", "+7", "007")] == [0, -7, 7, 7]
    numbers = [parse_number(float, text) for text in ("1e9", ".5", "2.", "-3", "1E-3")]
    assert numbers == [1e9, 0.5, 2.0, -3.0, 1e-3]


@pytest.mark.parametrize(
    ("cls", "name", "value", "rule"),
    [
        (TrainingConfig, "batch_size", 2**31, "an integer >= 1 and <= 2147483647"),
        (TrainingConfig, "nepochs", 2**63, "an integer from 1 to 1000000"),
        (TrainingConfig, "nphotons", 1e-320, "a finite number > 0 and >= 1e-30"),
        (TrainingConfig, "nphotons", 1e308, "a finite number > 0 and <= 1e30"),
        (TrainingConfig, "nll_weight", 1e308, "a finite number >= 0 and <= 1e30"),
        (TrainingConfig, "nll_weight", float("nan"), "a finite number >= 0"),
        (TrainingConfig, "seed", 2**32, "an integer from 0 to 4294967295"),
    ],
)
def test_numbers_of_absurd_size_break_a_rule_that_is_stated(cls, name, value, rule):
    with pytest.raises(ConfigError) as caught:
        cls(**{name: value})
    assert caught.value.problems == (f"{name} must be {rule}, got {value!r}",)
