"""Results of earlier runs, for a comparison."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import frozen
from ptycho_config.errors import InvalidValueError
from ptycho_data import Reconstruction, load_reconstruction

from ptycho_core.record import RUN_FILE

__all__ = ["EarlierRun", "read_run"]

#: Larger files are no metrics and no record of a run, bytes.
LARGEST = 1 << 24


@frozen(kw_only=True, eq=False)
class EarlierRun:
    """A reconstruction with its metrics and its record.

    Attributes
    ----------
    name : str
        Of its folder.
    reconstruction : Reconstruction
    metrics, record : dict
        Content of ``metrics.json`` and of ``run.json``; empty where they are missing.
    """

    name: str
    reconstruction: Reconstruction
    metrics: Mapping[str, Any]
    record: Mapping[str, Any]


def read_run(folder: Path) -> EarlierRun:
    """Read the results in a folder, trusting nothing.

    Raises
    ------
    InvalidValueError
        It is no folder.
    ReconstructionError, ResultSetError
        As `ptycho_data.load_reconstruction`.
    """
    if not folder.is_dir():
        rule = "the folder of a reconstruction"
        raise InvalidValueError(f"{folder}", rule, "a file" if folder.exists() else "nothing")
    return EarlierRun(
        name=folder.resolve().name,
        reconstruction=load_reconstruction(folder),
        metrics=_table(folder / "metrics.json"),
        record=_table(folder / RUN_FILE),
    )


def _table(path: Path) -> dict[str, Any]:
    """Read a file of JSON; empty where it is missing, large or something else."""
    try:
        if path.stat().st_size > LARGEST:
            return {}
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
