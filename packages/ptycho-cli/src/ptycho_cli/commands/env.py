"""``ptycho env``: installed versions, devices, and missing packages."""

import json
import platform
from typing import Any

import click
from ptycho_core.backends import backend_names, find_backend
from ptycho_core.formatting import table
from ptycho_core.record import installed_versions
from ptycho_core.threads import threads_in_use, usable_cores

from ptycho_cli.console import say
from ptycho_cli.sections import Command, section

__all__ = ["env"]


def _describe(name: str) -> dict[str, Any]:
    entry: dict[str, Any] = {"installed": False}
    try:
        backend = find_backend(name)
        entry["source"] = backend.source
        missing = backend.missing()
        if missing:
            return {**entry, "missing": missing, "install": backend.pip_command}
        entry |= {"installed": True, "features": backend.features}
        entry["install"] = f"{backend.pip_command} --force-reinstall"
        entry["devices"] = backend.devices()
        del entry["install"]
    except Exception as error:  # this command must also report a broken framework
        entry["error"] = f"{type(error).__name__}: {error}"
    return entry


def collect() -> dict[str, Any]:
    """Gather what ``ptycho env`` prints."""
    return {
        "versions": installed_versions(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpu_cores": usable_cores(),
        "threads": threads_in_use(),
        "backends": {name: _describe(name) for name in backend_names()},
    }


def _backend_line(name: str, entry: dict[str, Any]) -> tuple[str, str]:
    if "error" in entry:
        repair = f"; repair it {entry['source']}: {entry['install']}" if "install" in entry else ""
        return name, f"broken ({entry['error']}){repair}"
    if not entry["installed"]:
        return name, f"not installed; install it {entry['source']}: {entry['install']}"
    return name, f"ready on {', '.join(entry['devices'])}"


@click.command(cls=Command)
@section("Output")("--json", "as_json", is_flag=True, help="Print JSON.")
def env(as_json: bool) -> None:
    """Show versions, devices and backends, and how to install what is missing."""
    found = collect()
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    say("versions")
    say(*table(found["versions"].items()).splitlines())
    say("machine")
    machine = {"system": "system", "CPU cores": "cpu_cores", "threads": "threads"}
    say(*table((title, str(found[key])) for title, key in machine.items()).splitlines())
    say("backends")
    say(
        *table(_backend_line(name, entry) for name, entry in found["backends"].items()).splitlines()
    )
