"""One configuration, four ways to write it down."""

import json
import re

import click
import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from ptycho_cli.options import field_options, given_values
from ptycho_cli.sections import Command
from ptycho_config import (
    Layer,
    ModelConfig,
    PyTorchExecutionConfig,
    TrainingConfig,
    load_config_file,
    option_specs,
    resolve_training,
)
from ptycho_config.options import SMALLEST_NUMBER

CLASSES = (TrainingConfig, ModelConfig, PyTorchExecutionConfig)
SPECS = [spec for cls in CLASSES for spec in option_specs(cls)]
TABLES = {"Model": "model", "Execution": "execution"}
# What has to be so that any value of one field goes with any of another.
FIXED = {
    "neighbor_count": st.integers(25, 99),
    "num_workers": st.integers(1, 9),
    "nll_weight": st.floats(0.5, 2),
    "enable_oversampling": st.just(False),
    "neighbor_pool_size": st.none(),
    "probe_trainable": st.just(False),
    "positions_trainable": st.just(False),
}


def values_of(spec):
    if spec.name in FIXED:
        return FIXED[spec.name]
    if spec.choices:
        values = st.sampled_from(spec.choices)
    elif spec.type is bool:
        values = st.booleans()
    elif spec.type is int:
        values = st.integers(int(spec.minimum), int(min(spec.maximum or 10**6, 10**6)))
    elif spec.type is float:
        low = spec.minimum if spec.above is None else max(spec.above, SMALLEST_NUMBER)
        high = min(spec.maximum or 1e12, 1e12)
        values = st.floats(low, high).filter(lambda x: x == 0 or abs(x) >= SMALLEST_NUMBER)
    else:
        values = st.from_regex(r"\A[a-z][a-z0-9_]{0,9}\Z").filter(lambda text: text != "none")
    return st.none() | values if spec.optional else values


def arguments(values):
    """Write settings as a person types them."""
    for spec in SPECS:
        if spec.name not in values:
            continue
        value = values[spec.name]
        if spec.flag_values:
            yield spec.flags[spec.flag_values.index(value)]
        else:
            yield from (spec.flags[0], "none" if value is None else str(value))


def read_arguments(args):
    found = {}

    @field_options(*CLASSES)
    @click.command(cls=Command)
    @click.pass_context
    def command(ctx, /, **_):
        found.update(given_values(ctx, *CLASSES))

    result = CliRunner().invoke(command, args, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return Layer("command line", found)


def tables(values):
    """Sort settings into the tables of a file."""
    sorted_ = {"model": {}, "execution": {}}
    for spec in SPECS:
        if spec.name in values:
            table = sorted_[TABLES[spec.group]] if spec.group in TABLES else sorted_
            table[spec.name] = values[spec.name]
    return sorted_


def toml(values):
    """Write TOML; it has no word for None."""
    nested = tables(values)
    model, execution = nested.pop("model"), nested.pop("execution")

    def lines(table):
        for name, value in table.items():
            text = json.dumps(value)  # of strings, booleans and numbers the same in TOML ...
            exponent = isinstance(value, float) and re.fullmatch(r"-?\d+e.*", text)
            yield f"{name} = {text.replace('e', '.0e') if exponent else text}"

    return "\n".join(
        [*lines(nested), "[model]", *lines(model), "[execution]", *lines(execution), ""]
    )


def resolved(layer):
    result = resolve_training([layer])
    return result.config, result.execution


@settings(max_examples=40)
@given(data=st.data())
def test_command_line_toml_yaml_and_json_give_equal_objects(data, tmp_path_factory):
    values = {spec.name: data.draw(values_of(spec), spec.name) for spec in SPECS}
    folder = tmp_path_factory.mktemp("sources")
    typed = resolved(read_arguments(list(arguments(values))))
    nested = tables(values)
    for name, text in {"c.json": json.dumps(nested), "c.yaml": yaml.safe_dump(nested)}.items():
        (folder / name).write_text(text, "utf-8")
        assert resolved(load_config_file(folder / name)) == typed
    stated = {name: value for name, value in values.items() if value is not None}
    stated.setdefault("gradient_clip_val", "none")
    (folder / "c.toml").write_text(toml(stated), "utf-8")
    # Every field that may be None has it as its default.
    assert resolved(load_config_file(folder / "c.toml")) == typed


def test_none_is_the_default_where_it_is_a_value():
    others = {spec.name for spec in SPECS if spec.optional and spec.default is not None}
    assert others == {"gradient_clip_val"}  # a file says "none", as the command line does


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (["--n_images", "9"], {"n_groups": 9}),
        (["--batch_size=4"], {"batch_size": 4}),
        (["--device", "cpu"], {"accelerator": "cpu"}),
        (["--disable_mlflow"], {"logger_backend": "none"}),
        (["--no_object_big"], {"object_big": False}),
    ],
)
def test_flags_of_old_scripts_map_and_warn(old, new):
    with pytest.warns(DeprecationWarning, match=f"^{old[0].partition('=')[0]} is deprec") as caught:
        assert read_arguments(old).values == new
    assert len(caught) == 1
