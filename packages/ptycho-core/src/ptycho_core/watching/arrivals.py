"""Files that arrive in a folder: which of them make up a scan, and when it is complete."""

import os
import re
import stat
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from attrs import define, field, frozen
from ptycho_config.errors import InvalidValueError
from ptycho_data import wholeness

__all__ = [
    "ANY_SCAN",
    "CHANGING",
    "PATIENCE",
    "Arrival",
    "Arrivals",
    "FilePattern",
    "Look",
    "Stamps",
]

#: Size, and time of the last change in nanoseconds, of each file by its name in the folder.
Stamps = dict[str, tuple[int, int]]

#: Names of scans where no pattern says more.
ANY_SCAN = "{scan}.{h5,hdf5,hdf,he5,nxs,cxi,npz,mat,emd,ptyd}"
#: Files of frames that a Dectris master file links to are no scans of their own.
_FRAMES = re.compile(r".*_data_\d{6}\.h5")
#: Ends of names that copying programs use until a file is complete; hidden ones are skipped, too.
_UNFINISHED = (".part", ".partial", ".tmp", ".temp", ".filepart", ".crdownload", "~")
_WILDCARDS = {"**/": r"(?:[^/]+/)*", "*": r"[^/]*", "?": r"[^/]"}
_TOKEN = re.compile(r"\{scan\}|\{[^{}]*,[^{}]*\}|\*\*/|\*|\?")
#: A file that does not open is waited for so many times longer than one that does.
PATIENCE = 6
#: What a scan waits for whose files change.
CHANGING = "its files are changing"
_MISSING = (-1, 0)


@frozen
class FilePattern:
    """Names of files in a folder, such as ``{scan}_master.h5`` or ``{scan}/frames_*.h5``.

    ``{scan}`` stands for the name of the scan, ``*`` and ``?`` for any letters, ``{h5,nxs}`` for
    one of the texts, and ``**/`` for any folders.

    Raises
    ------
    InvalidValueError
        There is no ``{scan}``, or the text leads out of the folder.
    """

    text: str
    _expression: re.Pattern[str] = field(init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        """Check and compile the text."""
        parts = self.text.split("/")
        if "{scan}" not in self.text or "" in parts or ".." in parts:
            rule = "names of files in the folder, with {scan} for the name of the scan"
            advice = "such as '{scan}_master.h5'"
            raise InvalidValueError("pattern", rule, repr(self.text), advice)
        object.__setattr__(self, "_expression", _compiled(self.text))

    @property
    def several(self) -> bool:
        """Whether several files of one scan may have such names."""
        return "*" in self.text or "?" in self.text

    @property
    def depth(self) -> int:
        """How many folders deep such files may be."""
        return 99 if "**/" in self.text else self.text.count("/")

    def scan_of(self, name: str) -> str | None:
        """Return the name of the scan that a file belongs to, None for another file."""
        found = self._expression.fullmatch(name)
        return found and found["scan"]


def _compiled(text: str) -> re.Pattern[str]:
    parts, at, named = [], 0, False
    for token in _TOKEN.finditer(text):
        parts.append(re.escape(text[at : token.start()]))
        at = token.end()
        if token[0] == "{scan}":
            parts.append("(?P=scan)" if named else "(?P<scan>[^/]+)")
            named = True
        elif token[0].startswith("{"):
            choices = token[0][1:-1].split(",")
            parts.append(f"(?:{'|'.join(map(re.escape, choices))})")
        else:
            parts.append(_WILDCARDS[token[0]])
    return re.compile("".join([*parts, re.escape(text[at:])]), re.DOTALL)


@frozen(kw_only=True)
class Arrival:
    """A scan whose files are all there.

    Attributes
    ----------
    name
        Of the scan.
    files
        Those that the patterns name; the first has the frames.
    stamps
        Of these and of the files that they link to, as they were when they were found complete.
    """

    name: str
    files: tuple[Path, ...]
    stamps: Stamps


@frozen(kw_only=True)
class Look:
    """What one look into the folder found.

    Attributes
    ----------
    ready
        Scans to do, in natural order.
    waiting
        What the others wait for, by their names.
    soon
        Whether one of them waits for nothing but some time without a change.
    changed
        Whether files came, or changed, since the last look.
    """

    ready: list[Arrival]
    waiting: dict[str, str]
    soon: bool
    changed: bool


@define
class _Tracked:
    """A scan that is not done: its files at the last look, and since when they are so."""

    stamps: Stamps
    since: float
    links: tuple[Path, ...] = ()


@define(kw_only=True)
class Arrivals:
    """The scans of a folder.

    Attributes
    ----------
    folder
        The folder.
    patterns
        Names of the files of a scan; it has files of every pattern, and its frames are in those of
        the first.
    trigger
        Name of a file that says that a scan is complete; None needs none.
    settle
        Seconds for which the files must not have changed.
    patience
        Seconds after which files are tried that do not open, or lack others that they link to.
    skipped
        A folder that is not looked into: that of the results may be inside.
    clock
        Time in seconds.
    """

    folder: Path
    patterns: Sequence[FilePattern]
    trigger: FilePattern | None = None
    settle: float
    patience: float
    skipped: Path | None = None
    clock: Callable[[], float] = time.monotonic
    _tracked: dict[str, _Tracked] = field(factory=dict, init=False)
    _changed: bool = field(default=False, init=False)

    def look(self, known: Mapping[str, Stamps]) -> Look:
        """Look into the folder.

        Parameters
        ----------
        known
            Stamps of the scans that are done, or failed, by name. They are left out until their
            files change.

        Raises
        ------
        OSError
            The folder cannot be read.
        """
        listed = dict(self._listed())
        ready, waiting, soon = [], {}, False
        scans = self._scans(listed)
        self._tracked = {name: one for name, one in self._tracked.items() if name in scans}
        triggered = self._triggered(listed)
        for name in sorted(scans, key=_natural):
            files = scans[name]
            if why := self._wrong_number(name, files):
                waiting[name] = why
                continue
            names = [one for of_pattern in files for one in of_pattern]
            if self._known({one: listed[one] for one in names}, known.get(name)):
                self._tracked.pop(name, None)
                continue
            stamps = {one: listed[one] for one in names}
            why, settling = self._changing(name, stamps)
            if not why and self.trigger is not None and name not in triggered:
                why = f"no file {self.trigger.text.replace('{scan}', name)} yet"
            if not why:
                why, settling = self._lacking(name, stamps)
            soon |= settling
            if why:
                waiting[name] = why
                continue
            paths = tuple(self.folder / one for one in names)
            ready.append(Arrival(name=name, files=paths, stamps=self._tracked[name].stamps))
        linked = {path for one in self._tracked.values() for path in one.links}
        linked |= {self.folder / name for stamps in known.values() for name in list(stamps)[1:]}
        ready = [one for one in ready if one.files[0] not in linked]
        changed, self._changed = self._changed, False
        return Look(ready=ready, waiting=waiting, soon=soon, changed=changed)

    def unchanged(self, arrival: Arrival) -> bool:
        """Whether the files of a scan are still as they were found complete."""
        return all(self._stamp(name) == stamp for name, stamp in arrival.stamps.items())

    def _listed(self) -> Iterator[tuple[str, tuple[int, int]]]:
        """Yield name and stamp of all regular files; folders that vanish meanwhile are skipped."""
        deepest = max(pattern.depth for pattern in (*self.patterns, *filter(None, [self.trigger])))
        folders = [("", 0)]
        while folders:
            inside, depth = folders.pop()
            try:
                entries = list(os.scandir(self.folder / inside))
            except OSError:
                if not inside:
                    raise
                continue
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                name = inside + entry.name
                try:
                    if entry.is_dir(follow_symlinks=False):
                        if depth < deepest and Path(entry.path).resolve() != self.skipped:
                            folders.append((f"{name}/", depth + 1))
                        continue
                    status = entry.stat()
                except OSError:  # gone since, or a link that leads nowhere
                    continue
                if stat.S_ISREG(status.st_mode):
                    yield name, (status.st_size, status.st_mtime_ns)

    def _scans(self, listed: Stamps) -> dict[str, list[list[str]]]:
        """Return for each scan the names of its files, by pattern."""
        scans: dict[str, list[list[str]]] = {}
        for file in sorted(listed, key=_natural):
            if file.endswith(_UNFINISHED):
                continue
            for number, pattern in enumerate(self.patterns):
                if (name := pattern.scan_of(file)) is None:
                    continue
                if pattern.text == ANY_SCAN and _FRAMES.fullmatch(file):
                    continue
                scans.setdefault(name, [[] for _ in self.patterns])[number].append(file)
                break
        return scans

    def _wrong_number(self, name: str, files: list[list[str]]) -> str:
        """Say of which kind a scan has no file, or too many."""
        for pattern, found in zip(self.patterns, files, strict=True):
            if not found:
                return f"no file {pattern.text.replace('{scan}', name)} yet"
            if len(found) > 1 and not pattern.several:
                return f"{found[0]} and {found[1]} are both its file; name one kind with --pattern"
        return ""

    def _triggered(self, listed: Stamps) -> set[str | None]:
        return set() if self.trigger is None else {self.trigger.scan_of(file) for file in listed}

    def _known(self, stamps: Stamps, known: Stamps | None) -> bool:
        """Whether files are as they were, and links that led nowhere still do."""
        if known is None or not stamps.items() <= known.items():
            return False
        links = known.keys() - stamps.keys()
        return all(self._stamp(name) == known[name] for name in links if known[name] == _MISSING)

    def _stamp(self, name: str) -> tuple[int, int]:
        """Return the stamp of a file that others link to."""
        try:
            status = (self.folder / name).stat()
        except OSError:
            return _MISSING
        return status.st_size, status.st_mtime_ns

    def _changing(self, name: str, files: Stamps) -> tuple[str, bool]:
        """Say that the files of a scan are changing, and whether they did not since the last look.

        The first look at a scan counts as such, because nobody knows better.
        """
        now, tracked = self.clock(), self._tracked.get(name)
        links = () if tracked is None else tracked.links
        stamps = files | {one: self._stamp(one) for one in map(self._relative, links)}
        if tracked is None or tracked.stamps != stamps:
            self._tracked[name] = _Tracked(stamps=stamps, since=now, links=links)
            self._changed = True
            if tracked is not None or self.settle:
                return CHANGING, tracked is None
        elif now - tracked.since < self.settle:
            return CHANGING, True
        return "", False

    def _lacking(self, name: str, files: Stamps) -> tuple[str, bool]:
        """Say what is missing in files that do not change, and whether a look later may tell."""
        tracked = self._tracked[name]
        found = {one: wholeness(self.folder / one) for one in files}
        links = tuple(dict.fromkeys(path for one in found.values() for path in one.links))
        if links != tracked.links:
            stamps = files | {one: self._stamp(one) for one in map(self._relative, links)}
            self._tracked[name] = _Tracked(stamps=stamps, since=self.clock(), links=links)
            return CHANGING, True
        patient = self.clock() - tracked.since < self.patience
        for file, one in found.items():
            if one.held:
                return f"{file} is still open in its writer", False
            if patient and one.problem:
                return f"{file} does not open yet ({one.problem})", False
            if patient and one.missing:
                return f"{one.missing[0].name}, to which {file} links, is missing", False
        return "", False

    def _relative(self, path: Path) -> str:
        return os.path.relpath(path, self.folder)


def _natural(name: str) -> list[tuple[int, str]]:
    """Sort key by which ``scan_9`` comes before ``scan_10``."""
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if index % 2 else (-1, part) for index, part in enumerate(parts)]
