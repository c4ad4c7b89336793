"""Resolve the settings of a run from their sources, the data and the bundle."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, TypeGuard, TypeVar

import attrs
from ptycho_config import (
    ConfigError,
    InferenceConfig,
    Layer,
    MissingFileError,
    Resolved,
    TrainingConfig,
    load_config_file,
    resolve_inference,
)
from ptycho_config.paths import expanded
from ptycho_data import Bundle, Scan, load_scan

__all__ = [
    "AnyPath",
    "call_layers",
    "check_size",
    "is_path",
    "log_settings",
    "paths_in",
    "read_scan",
    "resolve_with_bundle",
    "scan_facts",
]

log = logging.getLogger(__name__)

AnyPath = str | PathLike[str]
C = TypeVar("C", TrainingConfig, InferenceConfig)


def is_path(value: object) -> TypeGuard[AnyPath]:
    """Whether an argument names a file, rather than being what a file holds."""
    return isinstance(value, str | PathLike)


def paths_in(arguments: Iterable[object]) -> list[Path]:
    """Return the files that arguments name, and those that scans in memory came from."""
    values = list(arguments)
    named = [expanded(value) for value in values if is_path(value)]
    return named + [file for scan in values if isinstance(scan, Scan) for file in scan.files]


def call_layers(
    settings: Mapping[str, Any], arguments: Mapping[str, object], config_file: AnyPath | None
) -> list[Layer]:
    """Return the sources of settings of a call from Python.

    Parameters
    ----------
    settings
        Settings by name.
    arguments
        Arguments by the name of the file that may stand for each; objects in memory are skipped.
    config_file
        Settings in a file, which those given by name override.

    Raises
    ------
    ConfigError
        The file holds no settings.
    """
    files = {name: value for name, value in arguments.items() if is_path(value)}
    layers = [Layer("override", {**settings, **files})]
    if config_file is not None:
        layers.append(load_config_file(config_file))
    return layers


def read_scan(
    scan: Scan | AnyPath, domain: Any = None, probe_file: Path | None = None, **reading: Any
) -> Scan:
    """Return a scan, read from its file if it is not in memory.

    A probe file replaces the probe in the scan's file, which need not have one; its existence is
    checked before anything is read.

    Parameters
    ----------
    scan
        A scan, or a file.
    domain
        ``counts`` or ``amplitude``, if the file does not state it. No effect on a scan in memory.
    probe_file
        Scan, product or reconstruction with a probe. No effect on a scan in memory.
    **reading
        Further arguments of `ptycho_data.load_scan`. No effect on a scan in memory.

    Raises
    ------
    MissingFileError
        There is no such probe file.
    ScanFormatError
        The scan breaks the contract, or that file has no probe of its size.
    """
    if isinstance(scan, Scan):
        return scan
    if probe_file is not None and not probe_file.exists():
        raise MissingFileError(f"{probe_file}: no such file; name a file with a probe")
    return load_scan(expanded(scan), domain=domain, probe_file=probe_file, **reading)


def scan_facts(scans: Sequence[Scan]) -> dict[str, object]:
    """Return the settings that follow from scans: N, and the dose if all of them state the same."""
    data: dict[str, object] = {"N": scans[0].N}
    doses = {scan.nphotons for scan in scans}
    if len(doses) == 1 and None not in doses:
        data["nphotons"] = scans[0].nphotons
    return data


def check_size(resolved: Resolved[Any], scan: Scan) -> None:
    """Refuse a scan whose patterns do not have the configured size N.

    Raises
    ------
    ConfigError
        With the origin of the other N.
    """
    N = resolved.config.model.N
    if scan.N != N:
        origin = resolved.origins["N"]
        where = "of the bundle " if origin == "bundle" else f"({origin}) "
        name = scan.source or "the scan"
        raise ConfigError(
            f"N {where}is {N}, but {name} has patterns of {scan.N} x {scan.N}; "
            "use a scan and a model of one size"
        )


def resolve_with_bundle(
    layers: Iterable[Layer], bundle: Bundle, name: str = ""
) -> Resolved[InferenceConfig]:
    """Resolve the settings of a reconstruction with a bundle.

    The model is that of the bundle. Its backend and ``neighbor_count`` are defaults, recorded with
    the bundle as their origin.

    Parameters
    ----------
    layers
        Layers of all other sources.
    bundle
        The trained model.
    name
        Name of the bundle in errors.
    """
    usual: dict[str, object] = {"backend": bundle.backend}
    if "neighbor_count" in bundle.config:
        usual["neighbor_count"] = bundle.config["neighbor_count"]
    resolved = resolve_inference(
        [*layers, Layer("bundle", bundle.config, name), Layer("command default", usual)]
    )
    audit = {
        key: {**entry, "origin": "bundle"} if _is_of(entry, key, usual) else entry
        for key, entry in resolved.overrides_applied.items()
    }
    return attrs.evolve(resolved, overrides_applied=audit)


def _is_of(entry: Mapping[str, Any], key: str, usual: Mapping[str, object]) -> bool:
    return key in usual and entry["origin"] == "command default"


def log_settings(resolved: Resolved[C]) -> None:
    """Log which settings are not at their default, and where they come from."""
    for name in resolved.unused:
        log.info("setting %r applies to another command; ignored", name)
    for line in resolved.summary():
        log.info("%s", line)
