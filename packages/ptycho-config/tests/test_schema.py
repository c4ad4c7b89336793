import re
import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ptycho_config import (
    CONFIG_CLASSES,
    ConfigError,
    InferenceConfig,
    Layer,
    ModelConfig,
    PyTorchExecutionConfig,
    RunFiles,
    TrainingConfig,
    json_schema,
    option_specs,
    reference_page,
    resolve_training,
    to_dict,
    toml_template,
)

TYPES = {"integer": int, "number": (int, float), "boolean": bool, "string": str}
FIELDS = [(cls, spec) for cls in CONFIG_CLASSES for spec in option_specs(cls)]


def allows(rule, value):
    """The few words of JSON schema in use, read independently of what wrote them."""
    if "enum" in rule:
        return any(value == item and type(value) is type(item) for item in rule["enum"])
    names = rule["type"] if isinstance(rule["type"], list) else [rule["type"]]
    if value is None:
        return "null" in names
    kinds = [TYPES[name] for name in names if name != "null"]
    if not isinstance(value, kinds[0]) or (isinstance(value, bool) and kinds != [bool]):
        return False
    if isinstance(value, str):
        pattern = rule.get("pattern", "")
        return len(value) >= rule.get("minLength", 0) and bool(re.search(pattern, value))
    low, high = rule.get("minimum", value), rule.get("maximum", value)
    return low <= value <= high and value > rule.get("exclusiveMinimum", value - 1)


@settings(max_examples=400)
@given(data=st.data())
def test_schema_and_classes_agree_on_every_value(data):
    cls, spec = data.draw(st.sampled_from(FIELDS))
    numbers = st.integers(-3, 300) | st.floats(-2, 300, allow_nan=False)
    words = st.sampled_from(["", "warn", "counts", "Default", "ddp", "a b", "csv"])
    value = data.draw(st.none() | st.booleans() | numbers | words)
    try:
        cls(**{spec.name: value})
        refused = False
    except ConfigError as error:
        refused = f"{spec.name} must be {spec.rule_for(value)}," in str(error)
    assert allows(json_schema(cls)["properties"][spec.name], value) is not refused


@pytest.mark.parametrize("cls", CONFIG_CLASSES)
def test_schema_has_every_key_of_the_written_form(cls):
    schema = json_schema(cls)
    assert set(schema["properties"]) == set(to_dict(cls()))
    assert schema["additionalProperties"] is False
    if "model" in schema["properties"]:
        assert set(schema["properties"]["model"]["properties"]) == set(to_dict(ModelConfig()))


def test_file_schema_takes_all_names_and_tables():
    properties = json_schema()["properties"]
    names = {spec.name for _, spec in FIELDS}
    assert set(properties) == names | {"$schema", "model", "execution"}


def _uncommented(template):
    return re.sub(r"^# (?=\w+ = )", "", template, flags=re.MULTILINE)


@pytest.mark.parametrize("cls", [TrainingConfig, InferenceConfig])
def test_template_is_complete_and_changes_nothing(cls):
    template = toml_template(cls)
    assert tomllib.loads(template) == {"model": {}, "execution": {}}
    values = tomllib.loads(_uncommented(template))
    for table, part in {"model": ModelConfig, "execution": PyTorchExecutionConfig}.items():
        assert set(values[table]) == set(to_dict(part()))
    names = {spec.name for part in (cls, RunFiles) for spec in option_specs(part)}
    assert {*values} - {"model", "execution"} == names


def test_template_shows_defaults():
    values = tomllib.loads(_uncommented(toml_template()))
    for cls, table in (
        (ModelConfig, values["model"]),
        (TrainingConfig, values),
        (RunFiles, values),
    ):
        for spec in option_specs(cls):
            shown = spec.example if spec.default is None else spec.default
            assert table[spec.name] == shown
            assert isinstance(table[spec.name], spec.type) or isinstance(shown, str)


def test_template_shows_a_commands_own_defaults():
    text = toml_template(defaults={"architecture": "cnn", "n_groups": 7, "learning_rate": 2.0})
    values = tomllib.loads(_uncommented(text))
    assert values["model"]["architecture"] == "cnn"
    assert (values["n_groups"], values["execution"]["learning_rate"]) == (7, 2.0)
    assert "; default: cnn\n" in text


def test_template_can_be_used_whole():
    text = _uncommented(toml_template()).replace("gridsize = 1", "gridsize = 2")
    text = text.replace("enable_oversampling = false", "enable_oversampling = true")
    text = text.replace("num_workers = 0", "num_workers = 1")
    resolved = resolve_training([Layer("config file", tomllib.loads(text))])
    assert resolved.config.n_groups == 512


def test_reference_page_has_a_row_per_field():
    page = reference_page()
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert [row.split("`")[1] for row in rows] == [spec.name for _, spec in FIELDS]
    assert "`object.big`" in page
