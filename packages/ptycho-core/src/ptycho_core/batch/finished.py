"""Whether a folder holds the result that is asked for, so that it need not be made again."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import frozen
from ptycho_config.errors import PtychoError, describe, sentence
from ptycho_config.plain_text import shortened
from ptycho_data import RECONSTRUCTION_SET, ResultSetError, jsonable, read_set

from ptycho_core.batch.outcomes import Finished
from ptycho_core.record import ASKED, RUN_FILE, UNFINISHED, Inputs

__all__ = [
    "NOT_REFINED",
    "OtherResultError",
    "Request",
    "finished_before",
    "finished_result",
    "is_done",
    "made_as_asked",
]

#: What a result lacks whose refinement failed.
NOT_REFINED = "not refined; the results are those of the network"
#: Roles of inputs in messages.
_ROLES = {"model_path": "model", "test_data_file": "scan", "probe_file": "probe"}


class OtherResultError(PtychoError, FileExistsError):
    """The output holds a whole result, but of another scan, model or setting."""


@frozen(kw_only=True)
class Request:
    """What a result is made from: by which command, of which files, with which settings.

    Attributes
    ----------
    command : str
        Name of the command in the record of a run.
    inputs : dict of str to Path
        Files by their role in the record.
    settings : dict
        Plain values of what was asked for, without what is left at its default.
    """

    command: str
    inputs: Mapping[str, Path]
    settings: Mapping[str, Any]

    def record(self) -> dict[str, Any]:
        """Return the request as a result records it; the inputs are read for their hashes."""
        return {
            "command": self.command,
            "inputs": Inputs(self.inputs).described(),
            ASKED: jsonable(self.settings),
        }


def is_done(folder: str | os.PathLike[str], request: Request, *, overwrite: bool = False) -> bool:
    """Tell whether a folder holds a whole reconstruction that was made as asked.

    All files of the result, and the inputs, are compared by their hashes.

    Parameters
    ----------
    folder
        Output folder.
    request
        What is asked for.
    overwrite
        Whether results of anything else may be replaced: they are not done, instead of an error.

    Returns
    -------
    bool
        False if there is no result yet, or that of a run that was interrupted.

    Raises
    ------
    OtherResultError
        The result is of another scan, model, probe or setting, or does not tell.
    ResultSetError
        The result is damaged.
    """
    path = Path(folder)
    try:
        if not read_set(path, RECONSTRUCTION_SET).is_file():
            return False
    except ResultSetError:
        if overwrite:
            return False
        raise
    record = _record(path / RUN_FILE)
    same = made_as_asked(path, record, request, overwrite=overwrite)
    return same and record.get("stopped") not in UNFINISHED


def finished_result(folder: str | os.PathLike[str]) -> Finished:
    """Return the figures of merit of a reconstruction that is done, from its files."""
    path = Path(folder)
    record, metrics = _record(path / RUN_FILE), _record(path / "metrics.json")
    refined = _table(record, "refinement")
    return Finished(
        metrics=dict(metrics),
        patterns=record.get("patterns"),
        patterns_per_second=record.get("patterns_per_second"),
        problem=NOT_REFINED if refined.get("failed") else "",
    )


def finished_before(
    folder: str | os.PathLike[str], request: Request, *, overwrite: bool = False
) -> Finished | None:
    """Return the figures of merit of a reconstruction if it is done, else None.

    Parameters and errors are those of `is_done`.
    """
    return finished_result(folder) if is_done(folder, request, overwrite=overwrite) else None


def made_as_asked(
    output: Path, record: Mapping[str, Any], request: Request, *, overwrite: bool = False
) -> bool:
    """Tell from the record of a whole result whether it was made as asked.

    Parameters
    ----------
    output
        File or folder of the result, for the error.
    record
        As from `Request.record`; empty if there is none.
    request, overwrite
        As for `is_done`, also for what is raised.
    """
    difference = next(_differences(record, request), "")
    if difference and not overwrite:
        rule = "free, or hold the result of these inputs and settings"
        advice = "pass --overwrite (overwrite=True) to replace it, or choose another output"
        raise OtherResultError(sentence(f"{output}", rule, difference, advice))
    return not difference


def _record(path: Path) -> Mapping[str, Any]:
    try:
        record = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


def _table(record: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = record.get(key)
    return found if isinstance(found, dict) else {}


def _differences(record: Mapping[str, Any], request: Request) -> Iterator[str]:
    """Describe in what a recorded run differs from a request."""
    if ASKED not in record:
        yield "a result that does not record what was asked for"
    if record.get("command") != request.command:
        yield f"a result of {describe(record.get('command'))}"
    wanted, found = request.record()["inputs"], _table(record, "inputs")
    for role in {**wanted, **found}:
        hashes = [_table(files, role).get("sha256") for files in (wanted, found)]
        if hashes[0] is None or hashes[0] != hashes[1]:
            yield f"a result of another {_ROLES.get(role, shortened(role))}"
    asked, made = jsonable(request.settings), _table(record, ASKED)
    for name in {**asked, **made}:
        if asked.get(name) != made.get(name):
            before, now = (_value(settings, name) for settings in (made, asked))
            yield f"a result with {shortened(name)} {before}, not {now}"


def _value(settings: Mapping[str, Any], name: str) -> str:
    return "unset" if settings.get(name) is None else describe(settings[name])
