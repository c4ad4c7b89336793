import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ptycho_config import (
    ConfigError,
    Layer,
    TrainingConfig,
    load_config_file,
    resolve_training,
)

TEXTS = {
    "toml": 'train_data_file = "s"\nnphotons = 1e6\n[model]\nN = 128\n[execution]\n'
    'learning_rate = 1e-4\ndeterministic = "warn"\n',
    "yaml": "train_data_file: s\nnphotons: 1e6\nmodel: {N: 128}\nexecution:\n"
    "  learning_rate: 1e-4\n  deterministic: warn\n",
    "yml": "train_data_file: s\nnphotons: 1.0e+6\nN: 128\nlearning_rate: 1.e-4\n"
    "deterministic: warn\n",
    "json": '{"$schema": "x.json", "train_data_file": "s", "nphotons": 1e6, "N": 128, '
    '"execution": {"learning_rate": 1e-4, "deterministic": "warn"}}',
}
FLAT = {
    "train_data_file": "s",
    "nphotons": 1e6,
    "N": 128,
    "learning_rate": 1e-4,
    "deterministic": "warn",
}


def write(folder, name, content):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("suffix", TEXTS)
def test_every_format_gives_what_the_command_line_gives(tmp_path, suffix):
    layer = load_config_file(write(tmp_path, f"c.{suffix}", TEXTS[suffix]))
    read, typed = resolve_training([layer]), resolve_training([Layer("command line", FLAT)])
    assert (read.config, read.execution) == (typed.config, typed.execution)
    assert {entry["origin"] for entry in read.overrides_applied.values()} == {"config file"}


@settings(max_examples=25)
@given(data=st.data())
def test_yaml_and_json_hold_every_value(data, whole, tmp_path_factory):
    import yaml

    values = data.draw(whole(TrainingConfig))
    expected = resolve_training([Layer("command line", values)])
    folder = tmp_path_factory.mktemp("files")
    for name, text in (("c.json", json.dumps(values)), ("c.yaml", yaml.safe_dump(values))):
        read = resolve_training([load_config_file(write(folder, name, text))])
        assert (read.config, read.execution) == (expected.config, expected.execution)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("c.toml", "N = "),
        ("c.toml", "N = 64\nN = 64"),
        ("c.json", '{"N": 64'),
        ("c.json", ""),
        ("c.json", '{"N": 64, "N": 128}'),
        ("c.json", "[" * 60_000),
        ("c.yaml", "N: [64"),
        ("c.yaml", "N: 64\nN: 128"),
        ("c.yaml", "model: {N: 64, N: 128}"),
        ("c.yaml", "N: !!python/object/apply:os.system [ls]"),
        ("c.yaml", "? [1]\n: 2"),
        ("c.toml", b"\xff\xfe\x00"),
        ("c.yaml", b"\x00\x01PK"),
    ],
)
def test_broken_files_give_one_line_that_names_them(tmp_path, name, content):
    path = write(tmp_path, name, content)
    with pytest.raises(ConfigError) as caught:
        load_config_file(path)
    assert str(caught.value).startswith(f"{path} is not valid {path.suffix[1:].upper()}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "content"), [("c.yaml", "- 1"), ("c.json", "3"), ("c.yml", "a")])
def test_a_file_must_hold_a_table(tmp_path, name, content):
    with pytest.raises(ConfigError, match="must hold a table of names and values, got"):
        load_config_file(write(tmp_path, name, content))


@pytest.mark.parametrize("name", ["c.toml", "c.yaml"])
def test_an_empty_file_changes_nothing(tmp_path, name):
    assert load_config_file(write(tmp_path, name, "# nothing\n")).values == {}


def test_a_byte_order_mark_is_skipped(tmp_path):
    path = write(tmp_path, "c.TOML", b"\xef\xbb\xbfN = 64\n")
    assert load_config_file(path).values == {"N": 64}


def test_other_endings_are_named(tmp_path):
    with pytest.raises(ConfigError, match=r"c\.ini must end in \.toml, \.yaml, \.yml, \.json"):
        load_config_file(write(tmp_path, "c.ini", "N=64"))


def test_a_missing_file_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_config_file(tmp_path / "none.toml")


def test_unknown_keys_name_the_file(tmp_path):
    path = write(tmp_path, "c.toml", 'train_data_file = "s"\nbatchsize = 3\n')
    with pytest.raises(ConfigError) as caught:
        resolve_training([load_config_file(path)])
    assert str(caught.value).endswith(f"did you mean batch_size? (config file {path})")
