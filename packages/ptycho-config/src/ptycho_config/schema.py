"""JSON schema, commented template and reference page, generated from the classes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ptycho_config.checks import CLASS_PATTERN, NAME_PATTERN
from ptycho_config.convert import CONFIG_CLASSES, SCHEMA_KEY, TABLES, classes_of
from ptycho_config.execution import PyTorchExecutionConfig
from ptycho_config.options import (
    LARGEST_INTEGER,
    LARGEST_NUMBER,
    SMALLEST_NUMBER,
    OptionSpec,
    option_specs,
    plain_value,
    shown_number,
)
from ptycho_config.resolver import ORIGINS
from ptycho_config.run_files import RunFiles
from ptycho_config.text_files import DEPTH_LIMIT, ITEM_LIMIT, SIZE_LIMIT, TOML_LINE_LIMIT
from ptycho_config.training import TrainingConfig

_JSON_TYPES = {int: "integer", float: "number", bool: "boolean", str: "string", Path: "string"}
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema(cls: type | None = None) -> dict[str, Any]:
    """Write a JSON schema (draft 2020-12).

    Parameters
    ----------
    cls : type, optional
        Configuration class: the schema of the output of `to_dict`. Default: the schema of a
        configuration file, which may contain the fields of all classes.

    Returns
    -------
    dict
        Serialisable as JSON. Rules between fields are not part of it.
    """
    if cls is not None:
        return {"$schema": _DIALECT, **_object(cls)}
    properties: dict[str, Any] = {SCHEMA_KEY: {"type": "string"}}
    for part in CONFIG_CLASSES:
        for spec in option_specs(part):
            properties.setdefault(spec.name, _property(spec))
    for name, part in TABLES.items():
        properties[name] = _object(part)
    return {
        "$schema": _DIALECT,
        "title": "Configuration file",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }


def _object(cls: type) -> dict[str, Any]:
    specs = option_specs(cls)
    properties = {spec.name: _property(spec) for spec in specs}
    for nested in classes_of(cls)[1:]:
        properties |= {name: _object(part) for name, part in TABLES.items() if part is nested}
    return {
        "title": cls.__name__,
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }


def _property(spec: OptionSpec) -> dict[str, Any]:
    name = _JSON_TYPES[spec.type]
    entry: dict[str, Any] = {"description": spec.help}
    if spec.choices:
        entry["enum"] = [*spec.choices, None] if spec.optional else list(spec.choices)
    else:
        entry["type"] = [name, "null"] if spec.optional else name
    bounds = {"minimum": spec.minimum, "maximum": spec.maximum, "exclusiveMinimum": spec.above}
    if not spec.choices and spec.type in (int, float):
        bounds["minimum"], bounds["maximum"] = spec.range
    entry |= {word: bound for word, bound in bounds.items() if bound is not None}
    if spec.type is Path:
        entry["minLength"] = 1
    elif spec.type is str and not spec.choices:
        pattern = CLASS_PATTERN if spec.class_allowed else NAME_PATTERN
        entry["pattern"] = (
            f"^({pattern.pattern})$" if spec.class_allowed else f"^{pattern.pattern}$"
        )
    return entry | {"default": plain_value(spec.default)}


def toml_template(
    cls: type = TrainingConfig, *, defaults: Mapping[str, object] | None = None
) -> str:
    """Write a TOML configuration file with every setting explained and commented out.

    Parameters
    ----------
    cls : type
        ``TrainingConfig`` or ``InferenceConfig``.
    defaults : mapping, optional
        A command's own defaults, field name to value, where they differ from the classes'.

    Returns
    -------
    str
        Unchanged it has no effect; remove ``# `` in front of a setting to use it.
    """
    own = defaults or {}
    blocks = [
        "# Remove '# ' in front of a setting to change it. The command line takes precedence.",
        *(_toml_entry(spec, own) for part in (cls, RunFiles) for spec in option_specs(part)),
    ]
    for table, part in TABLES.items():
        if part in (*classes_of(cls), PyTorchExecutionConfig):
            blocks += [f"[{table}]", *(_toml_entry(spec, own) for spec in option_specs(part))]
    return "\n\n".join(blocks) + "\n"


def _toml_entry(spec: OptionSpec, defaults: Mapping[str, object]) -> str:
    default = defaults.get(spec.name, spec.default)
    value = spec.example if default is None else default
    text = spec.default_text(default)
    return f"## {spec.help}\n## {spec.rule}; default: {text}\n# {spec.name} = {_toml_value(value)}"


def _toml_value(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        text = shown_number(value)
        return text if "." in text or "e" in text else f"{text}.0"
    if isinstance(value, int):
        return str(value)
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


_INTRODUCTION = f"""# Settings

Every setting has one name: `batch_size` in a configuration file and in Python is `--batch-size` on
the command line. A switch such as `probe_trainable` is `--probe-trainable` or
`--no-probe-trainable`; `none` means no value. Configuration files are TOML, YAML or JSON, either
flat or with tables `model` and `execution`. Where no closer bounds are given, integers are at most
{LARGEST_INTEGER}, other numbers at most {shown_number(LARGEST_NUMBER)}; those that have to be > 0
are at least {shown_number(SMALLEST_NUMBER)}.

A configuration file is a regular file of at most {SIZE_LIMIT // 1024} KiB with at most {ITEM_LIMIT}
values, nested at most {DEPTH_LIMIT} deep; lines of TOML have at most {TOML_LINE_LIMIT} characters.
A name that is given twice is an error. YAML is read by the core schema of version 1.2, without
aliases (`*`), merge keys (`<<`) and tags (`!`). Values that YAML 1.1 reads differently are refused:
write `true` or `false` for `yes`, `no`, `on` and `off`, plain decimal numbers for `010`, `0o10`,
`0b11`, `1:20` and `1_000`, or put text between quotes.

If several sources give a setting, the first in this list takes precedence:

{" > ".join(ORIGINS)}

Overrides and execution settings are given in Python; "data" means values from the scan file, such
as N. Each run records every setting that differs from its default, with its source, as
`overrides_applied`."""


def reference_page() -> str:
    """Write the reference of all settings as Markdown, one table per class."""
    parts = [_INTRODUCTION]
    for cls in CONFIG_CLASSES:
        parts += [f"\n## {cls.__name__}\n", (cls.__doc__ or "").strip().partition("\n")[0]]
        parts += [
            "\n| setting | values | default | meaning | legacy key |",
            "|---|---|---|---|---|",
        ]
        for spec in option_specs(cls):
            cells = (
                f"`{spec.name}`",
                spec.rule,
                spec.default_text(),
                spec.help,
                f"`{spec.legacy}`" if spec.legacy else "",
            )
            parts.append("| " + " | ".join(map(_cell, cells)) + " |")
    return "\n".join(parts) + "\n"


def _cell(text: str) -> str:
    """Escape characters that end a table cell or mark emphasis in Markdown."""
    return text.replace("|", r"\|").replace("**", r"\*\*")
