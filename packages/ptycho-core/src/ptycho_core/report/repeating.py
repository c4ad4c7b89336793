"""The command that repeats a run, from its record."""

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from ptycho_config import (
    InferenceConfig,
    ModelConfig,
    OptionSpec,
    PyTorchExecutionConfig,
    TrainingConfig,
    option_specs,
)

from ptycho_core.record import ASKED

__all__ = ["command_line", "table_in"]

#: Origins of settings that the user gave, on whichever way.
GIVEN = ("override", "execution", "command line", "config file")
#: Options for files, by their role in the record.
FILE_FLAGS = {
    "probe_file": "--probe-file",
    "companion": "--companion",
    "start": "--from",
    "test_data_file": "--test-data-file",
}
#: Settings of a record that are no options: files and folders, told by the inputs.
NO_OPTIONS = ("model_path", "output_dir", "train_data_file", "test_data_file", "debug")

_SPECS: dict[str, OptionSpec] = {
    spec.name: spec
    for config in (TrainingConfig, InferenceConfig, ModelConfig, PyTorchExecutionConfig)
    for spec in option_specs(config)
}


def command_line(record: Mapping[str, Any], output: str) -> str | None:
    """Return the command that does the same again; None for what Python did with data in memory.

    Files and folders have their names alone, as in the record.

    Parameters
    ----------
    record
        Content of ``run.json``.
    output
        Name of the folder of the results.
    """
    command, inputs = record.get("command"), table_in(record, "inputs")
    named = {role: str(table_in(inputs, role).get("name", "")) for role in inputs}
    if command == "infer":
        model = table_in(record, "configuration").get("model_path") or named.get("model_path")
        words = [model, named.pop("test_data_file", None)]
        named.pop("model_path", None)
        settings = table_in(record, ASKED)
    elif command == "reconstruct":
        words, settings = [named.pop("scan", None)], table_in(record, ASKED)
    elif command == "train":
        roles = [role for role in named if role.startswith("train_data_file")]
        words, settings = [named.pop(role) for role in roles], _given(record)
        words = words or [None]
    elif command == "evaluate":
        words = [named.pop("reconstruction", None), named.pop("reference", None)]
        settings = table_in(record, ASKED)
    else:
        return None
    if not all(words):
        return None
    parts = ["ptycho", command, *(str(word) for word in words), "-o", output]
    parts += _file_options(named)
    for name, value in settings.items():
        if name not in NO_OPTIONS and name not in FILE_FLAGS:
            parts += _option(name, value)
    index = record.get("scan_index")
    if isinstance(index, int) and "scan_index" not in settings:
        parts += ["--scan-index", str(index)]
    return shlex.join(parts)


def table_in(record: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return a table in a record that may be of any kind; empty where there is none."""
    found = record.get(key)
    return found if isinstance(found, Mapping) else {}


def _given(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a training that the user gave, and the refinement before it."""
    entries = table_in(record, "overrides_applied").items()
    given = {name: e.get("value") for name, e in entries if e.get("origin") in GIVEN}
    return given | ({"refine_probe": True} if record.get("probe_refinement") else {})


def _file_options(named: Mapping[str, str]) -> Iterator[str]:
    for role, name in named.items():
        if role in FILE_FLAGS and name:
            yield from (FILE_FLAGS[role], name)


def _option(name: str, value: Any) -> list[str]:
    """Write a setting as an option; one that is None or off by default needs none."""
    spec = _SPECS.get(name)
    if spec is not None:
        if spec.flag_values:
            return [spec.flags[list(spec.flag_values).index(value)]]
        return [spec.flags[0], "none" if value is None else str(value)]
    if value is None or value is False:
        return []
    flag = "--" + name.replace("_", "-")
    return [flag] if value is True else [flag, str(value)]
