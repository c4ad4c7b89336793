import json
import os
from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ptycho_config import (
    ORIGINS,
    ConfigError,
    InferenceConfig,
    Layer,
    ModelConfig,
    PyTorchExecutionConfig,
    RunFiles,
    TrainingConfig,
    from_dict,
    option_specs,
    resolve_inference,
    resolve_training,
)

RESOLVE = {TrainingConfig: resolve_training, InferenceConfig: resolve_inference}
# What has to stand beside a field so that any valid value of it makes a valid whole.
COMPANY = {"neighbor_count": 30, "num_workers": 2, "nll_weight": 1.0}
OVERSAMPLED = {"gridsize": 2, "enable_oversampling": True}
SAMPLING = ("neighbor_pool_size", "enable_oversampling")
NARROW = {
    "neighbor_count": st.integers(25, 99),
    "neighbor_pool_size": st.integers(25, 99),
    "num_workers": st.integers(1, 9),
    "nll_weight": st.floats(0.5, 2),
}
FIELDS = [
    (cls, spec)
    for cls in (TrainingConfig, InferenceConfig)
    for part in (ModelConfig, cls, PyTorchExecutionConfig)
    for spec in option_specs(part)
]


def value_in(resolved, name):
    for config in (resolved.config, resolved.config.model, resolved.execution):
        if hasattr(config, name):
            return getattr(config, name)
    raise AssertionError(name)


def same(received, value):
    if isinstance(received, os.PathLike):
        return str(received) == value
    return received == value and isinstance(received, bool) == isinstance(value, bool)


@pytest.mark.parametrize(("cls", "spec"), FIELDS, ids=lambda part: getattr(part, "name", None))
@settings(max_examples=2)
@given(data=st.data())
def test_of_every_pair_of_sources_the_higher_wins_and_is_named(cls, spec, data, valid):
    values = NARROW.get(spec.name, valid(spec))
    high, low = data.draw(st.tuples(values, values))
    names = {item.name for kind, item in FIELDS if kind is cls} - {spec.name}
    company = {**COMPANY, **(OVERSAMPLED if spec.name in SAMPLING else {})}
    base = Layer("default", {name: company[name] for name in company if name in names})
    for higher, lower in combinations(ORIGINS, 2):
        if "bundle" in (higher, lower) and cls is InferenceConfig:
            continue  # of a bundle only the model counts, and nothing overrules it: tested below
        layers = [layer_of(higher, spec, high), layer_of(lower, spec, low)]
        for ordered in (layers, layers[::-1]):
            resolved = RESOLVE[cls]([base, *ordered])
            assert same(value_in(resolved, spec.name), high)
            assert resolved.origins[spec.name] == higher
            assert resolved.overrides_applied[spec.name] == {"value": high, "origin": higher}


def layer_of(origin, spec, value):
    """Write the field flat in some sources, in its table in others."""
    table = {"Model": "model", "Execution": "execution"}.get(spec.group)
    in_table = table and ORIGINS.index(origin) % 2
    return Layer(origin, {table: {spec.name: value}} if in_table else {spec.name: value})


@given(data=st.data())
def test_scattered_over_sources_the_result_is_the_same(data, whole):
    values = data.draw(whole(TrainingConfig))
    where = {name: data.draw(st.sampled_from(ORIGINS)) for name in values}
    layers = [
        Layer(origin, {name: values[name] for name in values if where[name] == origin})
        for origin in ORIGINS
    ]
    resolved = resolve_training(layers)
    files = {spec.name: "default" for spec in option_specs(RunFiles)}
    assert resolved.origins == where | files
    model = {spec.name for part in (TrainingConfig, ModelConfig) for spec in option_specs(part)}
    flat = {name: value for name, value in values.items() if name in model}
    assert resolved.config == from_dict(TrainingConfig, flat)
    assert json.loads(json.dumps(resolved.overrides_applied)) == resolved.overrides_applied
    again = resolve_training([Layer("config file", json.loads(json.dumps(resolved.to_dict())))])
    assert (again.config, again.execution) == (resolved.config, resolved.execution)


def test_nothing_given_nothing_recorded():
    resolved = resolve_training([])
    assert resolved.overrides_applied == {}
    assert set(resolved.origins.values()) == {"default"}
    assert resolved.execution == PyTorchExecutionConfig()


def test_order_of_origins():
    expected = ["override", "execution", "command line", "config file", "bundle", "data"]
    assert list(ORIGINS) == [*expected, "command default", "default"]
    layers = [Layer(origin, {"batch_size": n}) for n, origin in enumerate(ORIGINS, start=1)]
    layers.append(Layer("default", {"train_data_file": "s"}))
    for higher, lower in pairwise(layers[:-1]):
        resolved = resolve_training([lower, layers[-1], higher])
        assert resolved.config.batch_size == higher.values["batch_size"]


def test_of_two_layers_of_one_origin_the_later_wins():
    files = [Layer("config file", {"nepochs": n}) for n in (1, 2)]
    assert resolve_training(files).config.nepochs == 2


def test_none_is_a_value():
    layers = [
        Layer("config file", {"n_groups": 5}),
        Layer("command line", {"n_groups": None}),
    ]
    resolved = resolve_training(layers)
    assert resolved.config.n_groups is None
    assert resolved.overrides_applied["n_groups"] == {"value": None, "origin": "command line"}


def test_command_defaults_give_way_to_data():
    layers = [
        Layer("command line", {"train_data_file": "s"}),
        Layer("command default", {"backend": "pytorch", "N": 64, "accelerator": "auto"}),
        Layer("data", {"N": 128}),
    ]
    resolved = resolve_training(layers)
    assert (resolved.config.model.N, resolved.config.backend) == (128, "pytorch")
    assert resolved.execution.accelerator == "auto"


def test_an_execution_object_counts_whole():
    layers = [
        Layer("command line", {"accelerator": "gpu"}),
        Layer("execution", {"execution": PyTorchExecutionConfig(devices=2)}),
    ]
    assert resolve_training(layers).execution == PyTorchExecutionConfig(devices=2)


def test_problems_of_all_layers_and_parts_say_where_from():
    layers = [
        Layer("config file", {"N": 65, "batchsize": 1}, "scan.toml"),
        Layer("command line", {"learning_rate": -1.0}),
    ]
    with pytest.raises(ConfigError) as caught:
        resolve_training(layers)
    assert caught.value.problems == (
        "batchsize is not a setting, did you mean batch_size? (config file scan.toml)",
        "N must be one of 64, 128, 256, got 65 (config file scan.toml)",
        "learning_rate must be a finite number > 0, or none, got -1.0 (command line)",
    )


def test_a_file_may_serve_several_commands():
    layers = [
        Layer("command line", {"model_path": "b", "test_data_file": "s"}),
        Layer("config file", {"batch_size": 4, "n_groups": 9, "num_workers": 1}),
    ]
    resolved = resolve_inference(layers)
    assert (resolved.config.n_groups, resolved.execution.num_workers) == (9, 1)
    assert resolved.unused == ("batch_size",)


@pytest.mark.parametrize("origin", ["override", "execution", "command line", "command default"])
def test_settings_of_another_command_are_mistakes_elsewhere(origin):
    with pytest.raises(ConfigError, match="batch_size belongs to training"):
        resolve_inference([Layer(origin, {"batch_size": 4})])


def test_of_a_bundle_only_the_model_counts_at_inference():
    trained = resolve_training([Layer("override", {"N": 128, "output_dir": "o", "n_groups": 3})])
    layers = [
        Layer("command line", {"model_path": "b", "test_data_file": "s"}),
        Layer("bundle", trained.to_dict()),
    ]
    resolved = resolve_inference(layers)
    assert resolved.config == from_dict(InferenceConfig, {"N": 128})
    assert resolved.origins["N"] == "bundle"


@pytest.mark.parametrize("origin", ["file", "", None, 3, []])
def test_origins_are_a_closed_set(origin):
    with pytest.raises(ConfigError, match="origin must be one of"):
        Layer(origin, {})


@pytest.mark.parametrize("gridsize", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("oversampling", [False, True])
def test_gridsize_alone_is_enough(gridsize, oversampling):
    values = {"gridsize": gridsize}
    if oversampling and gridsize > 1:
        values["enable_oversampling"] = True
    resolved = resolve_training([Layer("override", values)])
    count = max(4, gridsize**2)
    assert resolved.config.neighbor_count == count
    entry = {"value": count, "origin": "command default"} if count > 4 else None
    assert resolved.overrides_applied.get("neighbor_count") == entry


def test_too_few_neighbours_remain_an_error_where_they_were_asked_for():
    layer = Layer("override", {"gridsize": 3, "neighbor_count": 4})
    with pytest.raises(ConfigError, match=r"neighbor_count must be >= 8 .*, got 4 \(override\)"):
        resolve_training([layer])


def test_the_networks_rate_is_recorded_where_nobody_asked_for_one():
    resolved = resolve_training([]).at_rate(2e-3)
    assert resolved.execution.learning_rate == 2e-3
    assert resolved.overrides_applied["learning_rate"] == {"value": 2e-3, "origin": "network"}
    asked = resolve_training([Layer("override", {"learning_rate": 5e-3})])
    assert asked.at_rate(2e-3) is asked


@pytest.mark.parametrize("gridsize", [9, 10**300, -3, 3.0, True, "3", None, [3]])
def test_a_bad_gridsize_is_the_only_problem(gridsize):
    layer = Layer("override", {"gridsize": gridsize})
    with pytest.raises(ConfigError) as caught:
        resolve_training([layer])
    (problem,) = caught.value.problems
    assert problem.startswith("gridsize must be an integer from 1 to 5, got ")


@settings(max_examples=200)
@given(data=st.data())
def test_a_bad_value_of_any_source_is_a_config_error_that_names_it(data, bad):
    cls, spec = data.draw(st.sampled_from(FIELDS))
    layers = [
        Layer("default", {}),
        Layer(data.draw(st.sampled_from(ORIGINS[:4])), {spec.name: data.draw(bad(spec))}),
    ]
    with pytest.raises(ConfigError) as caught:
        RESOLVE[cls](layers)
    assert any(text.startswith(f"{spec.name} must be ") for text in caught.value.problems)


@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize(("field", "other"), [("N", 128), ("gridsize", 2), ("probe_big", False)])
def test_nothing_overrules_the_model_of_a_bundle(origin, field, other):
    trained = resolve_training([])
    value = getattr(trained.config.model, field)
    base = [Layer("default", {}), Layer("bundle", trained.to_dict(), "b.zip")]
    agreeing = resolve_inference([*base, Layer(origin, {"model": {field: value}})])
    assert getattr(agreeing.config.model, field) == value
    layers = [*base, Layer(origin, {"model": {field: other}})]
    if ORIGINS.index(origin) > ORIGINS.index("bundle"):
        assert resolve_inference(layers).config == agreeing.config
    elif origin != "bundle":
        with pytest.raises(ConfigError) as caught:
            resolve_inference(layers)
        expected = f"{field} must be that of the bundle, {value}, got {other} ({origin})"
        assert caught.value.problems == (expected,)


def test_summary_is_a_line_per_source():
    trained = resolve_training([Layer("override", {"N": 128})])
    layers = [
        Layer("command line", {"n_groups": None}),
        Layer("bundle", trained.to_dict()),
        Layer("config file", {"num_workers": 2}),
    ]
    assert resolve_inference(layers).summary() == [
        "settings from command line: n_groups=None",
        "settings from bundle: N=128",
        "settings from config file: num_workers=2",
    ]
