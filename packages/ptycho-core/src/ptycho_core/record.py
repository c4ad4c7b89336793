"""Content of ``run.json``: configuration, versions, inputs and timings of a run.

It contains nothing about the machine or its user: no host, no user name, no folder of an input.
"""

import platform
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import define, evolve, field
from ptycho_config import RunFiles, option_specs
from ptycho_config.paths import expanded
from ptycho_data import Reconstruction, Stamp, file_sha256, finish_commit

from ptycho_core.threads import threads_in_use

if TYPE_CHECKING:  # they import SciPy
    from ptycho_core.cautions import Caution

__all__ = [
    "ASKED",
    "RUN_FILE",
    "UNFINISHED",
    "Inputs",
    "Stopwatch",
    "describe_input",
    "installed_versions",
    "portable",
    "run_record",
    "with_run",
]

#: File, beside the results, that holds the record of the run.
RUN_FILE = "run.json"
#: In it: the settings that were asked for, without those at their default.
ASKED = "asked"
#: In it, as ``stopped``: why a run ended whose result is not the one that was asked for yet.
UNFINISHED = ("interrupted", "max_time")

PACKAGES = (
    *("ptycho-cli", "ptycho-config", "ptycho-core", "ptycho-data", "ptycho-physics"),
    *("ptycho-pretrained", "ptycho-tf", "ptycho-torch", "ptychopinn"),
    *("numpy", "scipy", "h5py", "matplotlib", "torch", "lightning"),
    # TensorFlow is installed under either name; the second is used here.
    *("tensorflow", "tensorflow-cpu", "keras", "safetensors"),
)

#: Configuration fields that hold paths: only the last part of them is recorded.
PATH_FIELDS = tuple(spec.name for spec in option_specs(RunFiles))


def installed_versions() -> dict[str, str]:
    """Versions of Python, of our installed packages and of those they use."""
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def _file_of(path: Path) -> Path:
    """Return the file that describes an input, which may be a folder."""
    if path.is_dir():
        names = (
            "wts.h5.zip",
            "manifest.json",
            "reconstruction.npz",
            "diffraction.h5",
            "diffraction.cxi",
        )
        inside = [path / name for name in names]
        return next((member for member in inside if member.is_file()), path)
    return path


def describe_input(path: Path) -> dict[str, Any]:
    """Name, size in bytes and SHA-256 of an input.

    A folder is described by the bundle in it, by the manifest of the unpacked bundle, which
    holds the hashes of all members, or by the patterns of a scan.
    """
    path = _file_of(path)
    if not path.is_file():
        return {"name": path.name}
    return {"name": path.name, "bytes": path.stat().st_size, "sha256": file_sha256(path)}


class Inputs:
    """The input files of a run, whose hashes are those of what was read.

    Make it before the files are read, and call `described` as soon as they have been: a file that
    changed or was replaced in between is an error, one that is replaced later does no harm.

    Parameters
    ----------
    files
        Role -> file or folder.
    """

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._files = {role: expanded(path) for role, path in files.items()}
        for path in self._files.values():
            if path.is_dir():
                finish_commit(path)
        found = {role: _file_of(path) for role, path in self._files.items()}
        self._stamps = [Stamp.of(path) for path in found.values() if path.is_file()]

    def described(self) -> dict[str, dict[str, Any]]:
        """Describe every file by role, see `describe_input`.

        Raises
        ------
        ScanFormatError
            A file is not the one that it was in the beginning.
        """
        described = {role: describe_input(path) for role, path in self._files.items()}
        for stamp in self._stamps:
            stamp.check()
        return described


def portable(values: Mapping[str, Any]) -> dict[str, Any]:
    """Copy nested values with every path shortened to its last part."""
    result: dict[str, Any] = {}
    for key, value in values.items():
        if key.rpartition(".")[2] in PATH_FIELDS:
            result[key] = _last_part(value)
        else:
            result[key] = portable(value) if isinstance(value, Mapping) else value
    return result


def _last_part(value: object) -> object:
    if isinstance(value, Mapping):  # an entry of overrides_applied: {"value": ..., "origin": ...}
        return {k: _last_part(v) if k == "value" else v for k, v in value.items()}
    return Path(value).name if isinstance(value, str | Path) else value


@define
class Stopwatch:
    """Wall-clock seconds per named stage."""

    seconds: dict[str, float] = field(factory=dict)
    told: Callable[[str], None] = lambda _: None
    _running: dict[str, float] = field(factory=dict, init=False)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time spent in the block to stage ``name``, and tell that it begins."""
        self.told(name)
        self._running[name] = start = time.perf_counter()
        try:
            yield
        finally:
            self._running.pop(name, None)
            elapsed = time.perf_counter() - start
            self.seconds[name] = self.seconds.get(name, 0.0) + elapsed

    def rounded(self) -> dict[str, float]:
        """Seconds per stage so far and their ``total``, to the millisecond."""
        now, values = time.perf_counter(), dict(self.seconds)
        for name, start in self._running.items():
            values[name] = values.get(name, 0.0) + now - start
        values["total"] = sum(values.values())
        return {name: round(value, 3) for name, value in values.items()}


def run_record(
    command: str,
    *,
    inputs: Mapping[str, Mapping[str, Any]],
    clock: Stopwatch,
    configuration: Mapping[str, Any],
    overrides: Mapping[str, Any] | None = None,
    reading: Mapping[str, Any] | None = None,
    cautions: Iterable["Caution"] = (),
    **more: object,
) -> dict[str, Any]:
    """Build the content of ``run.json``.

    Parameters
    ----------
    command
        Name of the command.
    inputs
        Role -> description, from `Inputs`.
    clock
        Timings of the stages of the run.
    configuration
        The resolved configuration.
    overrides
        ``overrides_applied`` of the resolved configuration.
    reading
        What was stated about the files; no entry if nothing was.
    cautions : iterable of Caution
        Doubts about the data and the result.
    more
        Further entries, e.g. ``backend``.
    """
    return {
        "command": command,
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        **({"reading": dict(reading)} if reading else {}),
        **more,
        "cautions": [caution.to_dict() for caution in cautions],
        "inputs": dict(inputs),
        "configuration": portable(configuration),
        "overrides_applied": portable(overrides or {}),
        "threads": threads_in_use(),
        "versions": installed_versions(),
        "timings_s": clock.rounded(),
    }


def with_run(rec: Reconstruction, record: Mapping[str, Any]) -> Reconstruction:
    """Give a reconstruction the part of a run's record that belongs to it, wherever it is copied.

    Left out is what differs between two runs that give the same result.

    Parameters
    ----------
    rec
        The reconstruction.
    record
        From `run_record`.
    """
    inputs = {
        role: {key: value for key, value in file.items() if key != "bytes"}
        for role, file in record["inputs"].items()
    }
    run = {
        "command": record["command"],
        "version": record["versions"]["ptycho-core"],
        "backend": record.get("backend"),
        "inputs": inputs,
        "configuration": _without_paths(record["configuration"]),
        **({"reading": record["reading"]} if "reading" in record else {}),
    }
    return evolve(rec, run=run)


def _without_paths(values: Mapping[str, Any]) -> dict[str, Any]:
    """Copy nested values without the names of files, which say nothing about the result."""
    return {
        key: _without_paths(value) if isinstance(value, Mapping) else value
        for key, value in values.items()
        if key not in PATH_FIELDS
    }
