"""What a report says in words and tables: settings, inputs, versions, and how to repeat it."""

import inspect
from collections.abc import Iterator, Mapping
from typing import Any
from xml.etree.ElementTree import Element

from ptycho_config.errors import describe
from ptycho_physics import solve

from ptycho_core.record import ASKED
from ptycho_core.report.elements import Content, block, element, table
from ptycho_core.report.repeating import command_line, table_in

__all__ = ["heading", "made_of", "settings_of"]

#: Origin of a value that nobody gave.
DEFAULT = "default"
#: Settings of a record that say where files are; the inputs tell more.
FILES = ("model_path", "output_dir", "train_data_file", "test_data_file", "probe_file")


def heading(record: Mapping[str, Any], method: str) -> Element:
    """Return the line below the title: what was done, how, and when."""
    made = str(record.get("created", "")).replace("T", " ").removesuffix("Z")
    parts = [f"ptycho {record.get('command', '')}", method, f"{made} UTC" if made else ""]
    return element("p", " · ".join(part for part in parts if part), class_="soft")


def settings_of(record: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return name, value and origin of every setting of a run.

    Parameters
    ----------
    record
        Content of ``run.json``.
    """
    applied = table_in(record, "overrides_applied")
    asked = table_in(record, ASKED)
    defaults = _solver_defaults() if record.get("command") == "reconstruct" else {}
    rows = []
    for name, value in _flat(table_in(record, "configuration")):
        key = name.rpartition(".")[2]
        if key in FILES:
            continue
        if key in applied:
            origin = str(table_in(applied, key).get("origin", ""))
        elif not defaults or defaults.get(key) == value:
            origin = DEFAULT
        else:
            origin = "data" if key == "domain" and key not in asked else "given"
        rows.append((name, "none" if value is None else _plain(value), origin))
    return rows


def _solver_defaults() -> dict[str, Any]:
    """Defaults of the settings of ``ptycho reconstruct``, where None and the default are one."""
    from ptycho_core.solving.call import solve_scan  # imports this package

    calls = (solve, solve_scan)
    parameters = [p for call in calls for p in inspect.signature(call).parameters.values()]
    return {p.name: p.default for p in parameters if p.default is not p.empty}


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _plain(value: object) -> str:
    return value if isinstance(value, str) else describe(value)


def made_of(record: Mapping[str, Any], output: str) -> list[Content]:
    """Return the sections about settings, inputs, versions and time, and the command.

    Parameters
    ----------
    record
        Content of ``run.json``.
    output
        Name of the folder of the results.
    """
    rows = settings_of(record)
    heads = ("setting", "value", "from")
    chosen = [row for row in rows if row[2] != DEFAULT]
    rest = [row for row in rows if row[2] == DEFAULT]
    again = command_line(record, output)
    inputs = [
        (role, _plain(file.get("name", "")), str(file.get("sha256", "a folder")))
        for role, file in table_in(record, "inputs").items()
        if isinstance(file, Mapping)
    ]
    versions = [(name, str(number)) for name, number in table_in(record, "versions").items()]
    times = [(name, f"{seconds} s") for name, seconds in table_in(record, "timings_s").items()]
    where = ", ".join(str(record[key]) for key in ("backend", "device") if record.get(key))
    return [
        block("To repeat it", element("pre", again)) if again else None,
        block(
            "Settings",
            table(chosen, heads) if chosen else None,
            block("Settings at their defaults", table(rest, heads), closed=True) if rest else None,
        ),
        block("Inputs", table(inputs, ("what", "name", "SHA-256"))) if inputs else None,
        block(
            "Versions and times",
            element("p", f"Computed with {where}.") if where else None,
            block("Versions", table(versions), closed=True) if versions else None,
            block("Times", table(times), closed=True) if times else None,
        ),
    ]
