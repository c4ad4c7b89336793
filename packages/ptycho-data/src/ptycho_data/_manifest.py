"""``SHA256SUMS``: the files of a set with their hashes, as sha256sum writes and checks it."""

import os
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from ptycho_config.errors import PtychoError

from ptycho_data._files import file_sha256

__all__ = ["MANIFEST", "ResultSetError", "manifest_bytes", "plain_name", "read_manifest", "verify"]

MANIFEST = "SHA256SUMS"
#: Bytes of a manifest that are read; a line takes some hundred.
_MOST = 4 << 20
#: Smaller files are read in a moment, whatever they hold.
_LARGE = 1 << 30
_LINE = re.compile(r"(\\?)([0-9a-f]{64})  (.+)")
_ESCAPES = {"\\\\": "\\", "\\n": "\n", "\\r": "\r"}


class ResultSetError(PtychoError, ValueError):
    """Files of a folder that do not belong together, or lack their manifest."""


def plain_name(name: str) -> bool:
    """Tell whether a name stays inside its folder, and is not one of ours for unfinished work."""
    parts = PurePosixPath(name).parts
    return (
        bool(parts)
        and not os.path.isabs(name)  # noqa: PTH117 - of this system, where the name is POSIX
        and "\0" not in name
        and all(part not in ("/", "..") and not part.startswith(".ptycho-") for part in parts)
        and "/".join(parts) == name
    )


def manifest_bytes(hashes: Mapping[str, str]) -> bytes:
    """Write hashes by name as sha256sum does, with its escapes for names of several lines."""
    lines = []
    for name, digest in sorted(hashes.items()):
        shown = name.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
        lines.append(f"{'' if shown == name else chr(92)}{digest}  {shown}\n")
    return "".join(lines).encode(errors="surrogateescape")


def read_manifest(folder: Path) -> dict[str, str] | None:
    """Read the hashes of a folder's set by name.

    Returns
    -------
    dict or None
        None without a manifest.

    Raises
    ------
    ResultSetError
        It is damaged, or lists what lies outside of the folder.
    """
    path = folder / MANIFEST
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ResultSetError(f"{path}: cannot be read ({error.strerror})") from error
    with os.fdopen(descriptor, "rb") as file:
        try:
            data = file.read(_MOST + 1) or b""
        except OSError as error:
            raise ResultSetError(f"{path}: cannot be read ({error.strerror})") from error
    text = data.decode(errors="surrogateescape")
    found: dict[str, str] = {}
    for line in text.split("\n")[:-1]:
        match = _LINE.fullmatch(line)
        name = _unescaped(match) if match else ""
        if match is None or not plain_name(name):
            break
        found[name] = match[2]
    if len(data) > _MOST or not text.endswith("\n") or len(found) != text.count("\n"):
        rule = "lines as sha256sum writes them, with names inside this folder"
        raise ResultSetError(
            f"{path} must be {rule}, got something else; restore it, or name one file of the folder"
        )
    return found


def _unescaped(match: re.Match[str]) -> str:
    if not match[1]:
        return match[3]
    return re.sub(r"\\(?:\\|n|r)", lambda found: _ESCAPES[found[0]], match[3])


def _hollow(status: os.stat_result) -> bool:
    """Tell a file whose bytes are hardly on disk; reading one of any length would never end."""
    stored = getattr(status, "st_blocks", status.st_size) * 512
    return status.st_size > _LARGE and status.st_size > 1000 * stored


def verify(folder: Path, hashes: Mapping[str, str]) -> None:
    """Compare the files of a folder with their hashes.

    Raises
    ------
    ResultSetError
        For the first that is missing or has another hash.
    """
    for name, digest in hashes.items():
        path = folder / name
        try:
            if not path.is_file():
                problem = "is missing"
            elif _hollow(path.stat()):
                problem = "is a file full of holes"
            elif file_sha256(path) == digest:
                continue
            else:
                problem = "is not the file that belongs to it"
        except OSError as error:
            problem = f"cannot be read ({error.strerror})"
        raise ResultSetError(
            f"{folder}: a mixed or damaged set: {name} {problem} (by {MANIFEST}); make the results "
            "again, or name one file of the folder to read it alone"
        )
