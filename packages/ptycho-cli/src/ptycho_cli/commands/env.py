"""``ptycho env``: what is installed, what it runs on, what is missing."""

import json
import os
import platform
from importlib import import_module
from typing import Any

import click
from ptycho_core.backends import BACKENDS, Backend
from ptycho_core.formatting import table

from ptycho_cli.record import installed_versions
from ptycho_cli.sections import Command, section

__all__ = ["env"]


def _torch_devices() -> list[str]:
    torch = import_module("torch")
    names = [
        f"cuda:{index} {torch.cuda.get_device_name(index)}"
        for index in range(torch.cuda.device_count())
    ]
    return ["cpu", *names, *(["mps"] if torch.backends.mps.is_available() else [])]


def _tensorflow_devices() -> list[str]:
    # Our own way in: it keeps the remarks of TensorFlow's libraries off the terminal.
    devices = import_module("ptycho_tf.frameworks").tf.config.list_physical_devices()
    return [device.name.removeprefix("/physical_device:") for device in devices]


DEVICES = {"pytorch": _torch_devices, "tensorflow": _tensorflow_devices}


def _describe(backend: Backend) -> dict[str, Any]:
    missing = backend.missing()
    entry: dict[str, Any] = {"installed": not missing}
    if missing:
        return {**entry, "missing": missing, "install": backend.pip_command}
    try:
        entry["devices"] = DEVICES[backend.name]()
    except Exception as error:  # a broken framework is what this command is asked about
        entry["error"] = f"{type(error).__name__}: {error}"
        entry["install"] = f"{backend.pip_command} --force-reinstall"
    return entry


def collect() -> dict[str, Any]:
    """Gather what ``ptycho env`` prints."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "versions": installed_versions(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpu_cores": usable,
        "backends": {name: _describe(backend) for name, backend in BACKENDS.items()},
    }


def _backend_line(name: str, entry: dict[str, Any]) -> tuple[str, str]:
    if "error" in entry:
        return name, f"broken ({entry['error']}); repair: {entry['install']}"
    if not entry["installed"]:
        return name, f"not installed; install: {entry['install']}"
    return name, f"ready on {', '.join(entry['devices'])}"


@click.command(cls=Command)
@section("Output")("--json", "as_json", is_flag=True, help="Print JSON.")
def env(as_json: bool) -> None:
    """Show versions, devices and backends, and what to install for what is missing."""
    found = collect()
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    click.echo("versions")
    click.echo(table(found["versions"].items()))
    click.echo("machine")
    click.echo(table([("system", found["system"]), ("CPU cores", str(found["cpu_cores"]))]))
    click.echo("backends")
    click.echo(table(_backend_line(name, entry) for name, entry in found["backends"].items()))
