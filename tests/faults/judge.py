"""The verdict on a call: right, refused with a clear error, or a fault, and which."""

import hashlib
import json
import re
import stat
import unicodedata
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from calls import Answer

__all__ = ["FAULTS", "REFUSED", "RIGHT", "Verdict", "content_of", "difference", "judge", "snapshot"]

RIGHT, REFUSED = "right", "refused"
FAULTS = (
    "traceback", "crash", "hang", "memory", "no clear error", "raw characters", "forged line",
    "written on failure", "input changed", "leftover", "executed", "other file read",
    "other bits", "silent garbage", "mixed set", "not resumable",
)  # fmt: skip
#: At the start of a line only where a name of the input has broken a line in two.
FORGED = "FORGED no violation"
#: In names: an escape sequence, a bell, a line of our own, a carriage return, text from the right.
HOSTILE = f"x\x1b[31m\x07\n{FORGED}\r\x9b1m\u202ey"
#: Fills what no command may look into.
DECOY = 31337

SECONDS, MEGABYTES = 10, 2048

Verdict = tuple[str, str]


def snapshot(folder: Path, *, without: Iterable[str] = ()) -> dict[str, tuple[Any, ...]]:
    """Kind, size, time and hash of everything below a folder, by relative path."""
    skipped, found = tuple(without), {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if any(name == s or name.startswith(f"{s}/") for s in skipped):
            continue
        state = path.lstat()
        found[name] = (stat.S_IFMT(state.st_mode), *_of_file(path, state))
    return found


def _of_file(path: Path, state: Any) -> tuple[Any, ...]:
    if stat.S_ISLNK(state.st_mode):
        return (str(path.readlink()),)
    if not stat.S_ISREG(state.st_mode):
        return ()
    if state.st_size > 2**24:
        return (state.st_size, state.st_mtime_ns)
    return (state.st_size, hashlib.sha256(path.read_bytes()).hexdigest())


def odd_characters(text: str) -> str:
    """Return the characters that could control a terminal, or turn the order of its text."""
    odd = {c for c in text if c not in "\n\t" and unicodedata.category(c) in ("Cc", "Cf", "Cs")}
    return "".join(sorted(odd))


def _errors(answer: Answer) -> list[str]:
    return [line for line in answer.err.splitlines() if line.startswith("error: ")]


def _clear(answer: Answer, command: str) -> str | None:
    """Say why a failure was not explained in one line; None if it was."""
    if answer.code not in (1, 2, 3):
        return f"exit code {answer.code}"
    errors = _errors(answer)
    if not errors:
        told = command in ("inspect", "bundle", "evaluate") and answer.out.strip()
        return None if told else f"no error line: {answer.err[-200:]!r}"
    if len(errors) > 1:
        return f"{len(errors)} error lines"
    lines = answer.err.splitlines()
    after = lines[lines.index(errors[0]) + 1 :]
    if len(after) > 1 or any(not line.startswith("  ") for line in after):
        return f"more than a line: {answer.err[-300:]!r}"
    return "empty message" if len(errors[0]) < 12 else None


def judge(answer: Answer, command: str) -> Verdict:
    """Judge what a call said and took; its files are judged by the caller.

    Returns
    -------
    verdict : str
        `RIGHT` (exit code 0), `REFUSED`, or one of `FAULTS`.
    detail : str
        What was seen.
    """
    text, tail = answer.out + answer.err, answer.err[-400:]
    if answer.killed == "hang" or answer.cpu_s > SECONDS:
        return "hang", f"{answer.wall_s:.1f} s, {answer.cpu_s:.1f} s of CPU: {tail}"
    if answer.code < 0:
        return "crash", f"signal {-answer.code}: {tail}"
    if "Traceback (most recent" in text or "internal error" in text:
        return "traceback", tail
    if answer.megabytes > MEGABYTES or re.search(r"error: out of memory", answer.err):
        return "memory", f"{answer.megabytes:.0f} MB: {tail}"
    if any(line.lstrip().startswith(FORGED) for line in re.split(r"[\n\r]", text)):
        return "forged line", repr(tail)
    if odd := odd_characters(text):
        return "raw characters", f"{odd!r} in {tail!r}"
    if answer.code == 0:
        return (RIGHT, "") if not _errors(answer) else ("no clear error", f"exit code 0: {tail}")
    problem = _clear(answer, command)
    return ("no clear error", problem) if problem else (REFUSED, tail)


def _of_npz(path: Path) -> dict[str, Any]:
    with np.load(path, allow_pickle=False) as archive:
        # The hash and the name of the input, damaged or not.
        return {name: archive[name] for name in archive.files if name != "_metadata"}


def _of_hdf5(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def note(name: str, item: Any) -> None:
        for key, value in item.attrs.items():
            found[f"{name}@{key}"] = np.asarray(value)
        if isinstance(item, h5py.Dataset):
            found[name] = np.asarray(item[()])

    with h5py.File(path) as file:
        file.visititems(note)
    return found


def _of_bundle(path: Path) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive:
        names = [n for n in archive.namelist() if n not in ("manifest.json", "config.json")]
        return {name: np.frombuffer(archive.read(name), np.uint8) for name in names}


def content_of(path: Path) -> dict[str, Any]:
    """Arrays of a result, a scan or a bundle, by name; of a folder, of all files in it."""
    if path.is_dir():
        found = {}
        for part in sorted(path.iterdir()):
            if part.suffix in (".npz", ".h5", ".cxi", ".zip"):
                found |= {f"{part.name}:{k}": v for k, v in content_of(part).items()}
        return found
    if path.suffix == ".npz":
        return _of_npz(path)
    if path.suffix == ".zip":
        return _of_bundle(path)
    if path.suffix in (".h5", ".cxi"):
        return _of_hdf5(path)
    if path.suffix == ".json":
        json.loads(path.read_text("utf-8"))
    return {}


def difference(one: dict[str, Any], other: dict[str, Any]) -> str | None:
    """Return the name of the first array in which two contents differ; None if they do not."""
    for name in sorted(one.keys() | other.keys()):
        if name not in one or name not in other:
            return f"{name} is missing"
        a, b = one[name], other[name]
        if a.shape != b.shape or a.dtype != b.dtype or a.tobytes() != b.tobytes():
            return name
    return None


def garbage(content: dict[str, Any]) -> str | None:
    """Return the name of an array that is not finite, or of another file; None without one."""
    for name, values in content.items():
        if values.dtype.kind not in "fciu" or not values.size:
            continue
        if values.dtype.kind in "fc" and not np.isfinite(values).all():
            return f"{name} is not finite"
        if values.size > 3 and np.all(np.abs(values) == DECOY):
            return f"{name} is of another file"
    return None
