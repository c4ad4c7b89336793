"""Which scans a command works on, and where the results of each go."""

import glob
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from string import Formatter

from attrs import frozen
from ptycho_config.errors import InvalidValueError, MissingFileError, describe
from ptycho_config.paths import expanded, natural

__all__ = ["NAME_FIELDS", "Job", "is_glob", "matching", "plan_jobs"]

NAME_FIELDS = ("stem", "name", "parent", "number")
"""Fields of a pattern for names: file name without and with suffix, its folder, number from 1."""


@frozen(kw_only=True)
class Job:
    """One scan of a batch.

    Attributes
    ----------
    name : str
        Unique among the jobs of a batch.
    inputs : tuple of Path
        The scan, in one file or several.
    output : Path
        Folder, or file, of its results.
    """

    name: str
    inputs: tuple[Path, ...]
    output: Path

    @property
    def scan(self) -> Path:
        """The first of the inputs."""
        return self.inputs[0]


def plan_jobs(
    scans: Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    name: str | None = None,
    *,
    suffix: str = "",
) -> list[Job]:
    """Make a job of each scan.

    One scan that is named, not matched, has `output` as its output. Of several, each has its own
    below `output`.

    Parameters
    ----------
    scans
        Files and folders, and patterns such as ``scans/*.npz`` where no file of that name exists.
    output
        Where results go.
    name
        Pattern for the names of the outputs, of `NAME_FIELDS`; ``{stem}`` by default. With it,
        even a single scan has its output below `output`.
    suffix
        Added to the names of the outputs, for outputs that are files.

    Returns
    -------
    list of Job
        In natural order: ``scan_2`` comes before ``scan_10``.

    Raises
    ------
    MissingFileError
        A file does not exist, or a pattern matches none.
    InvalidValueError
        A scan is named twice, two outputs would have one name, or the pattern makes none.
    """
    folder, given = expanded(output), [str(expanded(scan)) for scan in scans]
    if len(given) == 1 and name is None and not is_glob(given[0]):
        scan = _existing(given[0])
        return [Job(name=scan.stem or scan.name, inputs=(scan,), output=folder)]
    found = sorted(matching(given), key=natural)
    _refuse_twice(found)
    pattern = _checked("{stem}" if name is None else name)
    names = [_named(pattern, path, number) for number, path in enumerate(found, 1)]
    _refuse_collisions(names, found)
    return [
        Job(name=text, inputs=(path,), output=folder / (text + suffix))
        for text, path in zip(names, found, strict=True)
    ]


def matching(scans: Sequence[str | os.PathLike[str]]) -> list[Path]:
    """Return the files that are named or match a pattern, as given; errors as of `plan_jobs`."""
    return [path for scan in scans for path in _matches(str(expanded(scan)))]


def is_glob(text: str) -> bool:
    """Tell whether a text is a pattern: it has ``*``, ``?`` or ``[``, and no such file exists."""
    return glob.has_magic(text) and not os.path.lexists(text)


def _existing(text: str) -> Path:
    if not os.path.lexists(text):
        raise MissingFileError(f"{text}: no such file; name a scan, or a pattern such as '*.npz'")
    return Path(text)


def _matches(text: str) -> Iterable[Path]:
    if not is_glob(text):
        return [_existing(text)]
    found = glob.glob(text, recursive=True)  # noqa: PTH207 - the pattern may be absolute
    if not found:
        raise MissingFileError(f"{text}: matches no file; check the pattern")
    return sorted(map(Path, found), key=natural)


def _refuse_twice(paths: Iterable[Path]) -> None:
    seen: dict[tuple[int, int], Path] = {}
    for path in paths:
        status = path.stat()
        key = (status.st_dev, status.st_ino)
        if key in seen:
            got = f"{path} twice" if path == seen[key] else f"{seen[key]} and {path}, one file"
            raise InvalidValueError("scans", "different files", got, "name each once")
        seen[key] = path


def _checked(pattern: str) -> str:
    """Refuse a pattern with other fields; attributes of a field could show anything."""
    rule = "text with " + ", ".join(f"{{{field}}}" for field in NAME_FIELDS)
    try:
        parts = list(Formatter().parse(pattern))
        known = all(f is None or f in NAME_FIELDS for _, f, _, _ in parts)
        if known and all(_is_plain(spec or "") and not how for _, _, spec, how in parts):
            pattern.format(stem="a", name="a", parent="a", number=1)
            return pattern
    except (ValueError, IndexError, KeyError):
        pass
    raise InvalidValueError("name", rule, describe(pattern), "for example '{parent}_{stem}'")


def _is_plain(spec: str) -> bool:
    """Whether a format has no nested fields, and no width of three digits or more."""
    return "{" not in spec and re.search(r"\d{3}", spec) is None


def _named(pattern: str, path: Path, number: int) -> str:
    whole = Path(os.path.abspath(path))  # noqa: PTH100 - a link keeps its own name
    text = pattern.format(stem=whole.stem, name=whole.name, parent=whole.parent.name, number=number)
    plain = Path(text).name == text and text not in ("", ".", "..") and "\0" not in text
    if not plain or text.startswith(".ptycho-"):
        rule = "such that every scan gets the name of a file"
        raise InvalidValueError("name", rule, f"{describe(text)} for {path}")
    return text


def _refuse_collisions(names: Sequence[str], paths: Sequence[Path]) -> None:
    seen: dict[str, Path] = {}
    for name, path in zip(names, paths, strict=True):
        other = seen.setdefault(name.casefold(), path)  # some file systems ignore the case
        if other is not path:
            got = f"{describe(name)} for {other} and {path}"
            advice = "give --name (name=) with {parent} or {number}"
            raise InvalidValueError("names of the results", "different", got, advice)
