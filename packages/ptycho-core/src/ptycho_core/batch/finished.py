"""Whether a folder holds the result that is asked for, so that it need not be made again."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import frozen
from ptycho_config.errors import PtychoError, describe, sentence
from ptycho_config.plain_text import shortened
from ptycho_data import RECONSTRUCTION_SET, jsonable, read_set

from ptycho_core.record import ASKED, RUN_FILE, UNFINISHED, Inputs

__all__ = ["OtherResultError", "Request", "is_done"]

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


def is_done(folder: str | os.PathLike[str], request: Request) -> bool:
    """Tell whether a folder holds a whole reconstruction that was made as asked.

    All files of the result, and the inputs, are compared by their hashes.

    Parameters
    ----------
    folder
        Output folder.
    request
        What is asked for.

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
    if not read_set(path, RECONSTRUCTION_SET).is_file():
        return False
    record = _record(path / RUN_FILE)
    difference = next(_differences(record, request), "")
    if difference:
        rule = "free, or hold the result of these inputs and settings"
        advice = "pass --overwrite (overwrite=True) to replace it, or choose another output"
        raise OtherResultError(sentence(f"{path}", rule, difference, advice))
    return record.get("stopped") not in UNFINISHED


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
    wanted, found = Inputs(request.inputs).described(), _table(record, "inputs")
    for role in {**wanted, **found}:
        hashes = [_table(files, role).get("sha256") for files in (wanted, found)]
        if hashes[0] is None or hashes[0] != hashes[1]:
            yield f"a result of another {_ROLES.get(role, role)}"
    asked, made = jsonable(request.settings), _table(record, ASKED)
    for name in {**asked, **made}:
        if asked.get(name) != made.get(name):
            values = [describe(settings.get(name)) for settings in (made, asked)]
            yield f"a result with {shortened(name)} {values[0]}, not {values[1]}"
