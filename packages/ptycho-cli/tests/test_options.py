import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from ptycho_cli.layers import INFERENCE_ONLY, TRAINING_ONLY
from ptycho_cli.options import FieldType, field_options, given_values
from ptycho_cli.sections import Command
from ptycho_config import (
    InferenceConfig,
    ModelConfig,
    PyTorchExecutionConfig,
    RunFiles,
    TrainingConfig,
    option_specs,
)

CLASSES = (TrainingConfig, ModelConfig, PyTorchExecutionConfig, RunFiles)
SPECS = {spec.name: spec for cls in CLASSES for spec in option_specs(cls)}


def parse(*args: str) -> dict[str, object]:
    """Field values that these arguments give."""
    found: dict[str, object] = {}

    @field_options(*CLASSES)
    @click.command(cls=Command)
    @click.pass_context
    def command(ctx, /, **_):
        found.update(given_values(ctx, *CLASSES))

    result = CliRunner().invoke(command, args, catch_exceptions=False)
    if result.exit_code:
        raise click.UsageError(result.output)
    return found


def test_nothing_given_is_nothing():
    assert parse() == {}


@pytest.mark.parametrize(
    ("args", "values"),
    [
        (["--gridsize", "2", "--N", "128"], {"gridsize": 2, "N": 128}),
        (["--n-groups", "none"], {"n_groups": None}),
        (["--nphotons", "1e6"], {"nphotons": 1e6}),
        (["--no-object-big", "--probe-mask"], {"object_big": False, "probe_mask": True}),
        (["--deterministic-warn"], {"deterministic": "warn"}),
        (["--no-deterministic"], {"deterministic": False}),
        (["--scheduler", "warmupcosine"], {"scheduler": "WarmupCosine"}),
        (["--backend", "tensorflow"], {"backend": "tensorflow"}),
        # The value of the class's default is a value all the same, when it is typed.
        (["--batch-size", "16"], {"batch_size": 16}),
    ],
)
def test_given_values(args, values):
    assert parse(*args) == values


@pytest.mark.parametrize(
    "args",
    [
        ["--N", "65"],
        ["--gridsize", "0"],
        ["--gridsize", "two"],
        ["--gridsize", "none"],
        ["--learning-rate", "0"],
        ["--accelerator", "abacus"],
    ],
)
def test_bad_values_name_option_and_rule(args):
    with pytest.raises(click.UsageError) as caught:
        parse(*args)
    assert args[0] in str(caught.value)
    assert args[1] in str(caught.value)


def test_every_field_is_an_option_of_a_command():
    def names(config_class, *, skip):
        return {
            spec.name
            for cls in (config_class, ModelConfig, PyTorchExecutionConfig, RunFiles)
            for spec in option_specs(cls)
        } - set(skip)

    from ptycho_cli.commands.infer import infer
    from ptycho_cli.commands.train import train

    trained = {param.name for param in train.params}
    arguments = {"train_data_file", "model_path", "output_dir"}
    assert names(TrainingConfig, skip={*arguments, *INFERENCE_ONLY}) <= trained
    inferred = {param.name for param in infer.params}
    of_model = {spec.name for spec in option_specs(ModelConfig)}
    arguments = {"train_data_file", "model_path", "test_data_file", "output_dir", "debug"}
    assert names(InferenceConfig, skip={*arguments, *TRAINING_ONLY, *of_model}) <= inferred


@given(st.data())
def test_what_the_rule_allows_is_read_back(data):
    spec = data.draw(st.sampled_from([s for s in SPECS.values() if s.type in (int, float)]))
    if spec.choices:
        value = data.draw(st.sampled_from(spec.choices))
    else:
        kind = st.integers if spec.type is int else st.floats
        value = data.draw(kind(*spec.range))
    assert FieldType(spec).convert(str(value), None, None) == value


def test_completion_offers_choices():
    spec = SPECS["accelerator"]
    offered = FieldType(spec).shell_complete(None, None, "c")
    assert [item.value for item in offered] == ["cpu", "cuda"]
