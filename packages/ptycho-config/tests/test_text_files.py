import math
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ptycho_config import ConfigError
from ptycho_config.text_files import (
    DEPTH_LIMIT,
    ITEM_LIMIT,
    SIZE_LIMIT,
    TOML_LINE_LIMIT,
    parse_text,
    read_table,
)

DEEP = 2 * DEPTH_LIMIT
NESTED = {
    "lists.json": '{"a": ' + "[" * DEEP + "]" * DEEP + "}",
    "tables.json": '{"a": ' * DEEP + "1" + "}" * DEEP,
    "unclosed.json": '{"a": ' * 10_000,
    "lists.toml": "a = " + "[" * DEEP + "]" * DEEP,
    "tables.toml": "a = " + "{b = " * DEEP + "1" + "}" * DEEP,
    "dotted.toml": ".".join("a" * DEEP) + " = 1",
    "header.toml": "[" + ".".join("a" * DEEP) + "]",
    "flow.yaml": "a: " + "[" * 30_000,
    "block.yaml": "- " * 30_000,
    "tables.yaml": "{a: " * 15_000,
}
LARGE = {
    "long.toml": "# " + "x" * SIZE_LIMIT,
    "long.json": '{"a": "' + "x" * SIZE_LIMIT + '"}',
    "long.yaml": "a: " + "x" * SIZE_LIMIT,
}
MANY = {
    "many.toml": "\n".join(f"a{i} = 1" for i in range(ITEM_LIMIT + 1)),
    "many.json": '{"a": [' + ", ".join("1" * (ITEM_LIMIT + 1)) + "]}",
    "many.yaml": "\n".join(f"a{i}: 1" for i in range(ITEM_LIMIT + 1)),
}
MULTIPLYING = {
    "alias.yaml": "a: &a [x, x]\nb: [*a, *a]\n",
    "merge.yaml": "<<: {N: 64}\n",
    "endless.yaml": "a: &a\n  <<: *a\n",
    "tag.yaml": "N: !!int '64'\n",
    "python.yaml": "N: !!python/object/apply:os.system [ls]\n",
}
TWICE = {
    "twice.json": '{"N": 64, "N": 128}',
    "inner.json": '{"model": {"N": 64, "N": 128}}',
    "twice.toml": "N = 64\nN = 128",
    "twice.yaml": "N: 64\nN: 128",
    "quoted.yaml": "N: 64\n'N': 128",
    "inner.yaml": "model: {N: 64, N: 128}",
}
NOT_NUMBERS = {
    "nan.json": '{"a": NaN}',
    "infinity.json": '{"a": -Infinity}',
    "digits.json": '{"a": ' + "9" * 5000 + "}",
    "digits.yaml": "a: " + "9" * 5000,
    "digits.toml": "a = " + "9" * (TOML_LINE_LIMIT + 1),
}
BAD = {**NESTED, **LARGE, **MANY, **MULTIPLYING, **TWICE, **NOT_NUMBERS}


@pytest.mark.parametrize("name", BAD)
def test_hostile_text_is_refused_in_one_short_line(tmp_path, name):
    path = tmp_path / name
    path.write_text(BAD[name])
    with pytest.raises(ConfigError) as caught:
        read_table(path)
    message = str(caught.value)
    assert message.startswith(f"{path} ")
    assert "\n" not in message
    assert len(message) < len(str(path)) + 200


@pytest.mark.parametrize("name", MULTIPLYING)
def test_what_yaml_multiplies_is_refused_by_name(tmp_path, name):
    path = tmp_path / name
    path.write_text(MULTIPLYING[name])
    with pytest.raises(ConfigError, match="are not read"):
        read_table(path)


@pytest.mark.parametrize(
    "text",
    ["010", "-010", "0_7", "08", "0o10", "0b11", "1:20", "-1:20:30.5", "1_000", "1_0.5", "0x_f",
     "-0x1f", "yes", "No", "ON", "off"],
)  # fmt: skip
def test_values_that_yaml_versions_read_differently_are_refused(text):
    with pytest.raises(ValueError, match=r"different meanings in YAML 1\.1 and 1\.2; write"):
        parse_text(f"a: {text}", ".yaml")
    assert parse_text(f"a: '{text}'", ".yaml") == {"a": text}


@pytest.mark.parametrize(
    ("text", "value"),
    [("0", 0), ("-7", -7), ("+7", 7), ("0x1f", 31), ("1e9", 1e9), ("1.", 1.0), (".5", 0.5),
     ("1.0e+6", 1e6), ("-1E-3", -1e-3), ("00.5", 0.5), (".inf", math.inf), ("-.INF", -math.inf),
     ("true", True), ("FALSE", False), ("~", None), ("null", None), ("", None), ("y", "y"),
     ("2020-01-01", "2020-01-01"), ("1.2.3", "1.2.3"), ("a_b", "a_b"), ("nope", "nope"),
     ("'64'", "64"), ("[1, a]", [1, "a"])],
)  # fmt: skip
def test_yaml_is_read_by_the_core_schema(text, value):
    read = parse_text(f"a: {text}", ".yaml")["a"]
    assert (type(read), read) == (type(value), value)


def test_nan_of_yaml_is_a_number():
    assert math.isnan(parse_text("a: .nan", ".yaml")["a"])


@given(text=st.text(alphabet="0123456789_:.xobeE+-yesnotruealfINF~ ", max_size=12))
@settings(max_examples=300)
def test_no_number_of_yaml_differs_from_that_of_pyyaml(text):
    import yaml

    try:
        ours = parse_text(f"- {text}", ".yaml")[0]
    except ValueError:
        return
    theirs = yaml.safe_load(f"- {text}")[0]
    if isinstance(ours, bool | int | float) and not isinstance(theirs, str):
        assert (type(ours), repr(ours)) == (type(theirs), repr(theirs))


def test_a_list_of_json_may_be_long_where_the_caller_bounds_its_size():
    assert len(parse_text("[" + ", ".join("1" * 5000) + "]", ".json")) == 5000


def test_only_regular_files_are_opened(tmp_path):
    pipe, folder, endless = (tmp_path / f"{name}.yaml" for name in ("pipe", "folder", "endless"))
    os.mkfifo(pipe)
    folder.mkdir()
    endless.symlink_to("/dev/zero")
    for path, kind in ((pipe, "a pipe"), (folder, "a folder"), (endless, "a device")):
        with pytest.raises(ConfigError, match=f"must be a regular file, got {kind}"):
            read_table(path)
