"""Files that arrive in a folder: which of them make up a scan, and when it is complete."""

import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from attrs import define, field, frozen
from ptycho_config.paths import natural
from ptycho_data import wholeness

from ptycho_core.watching.listing import Stamp, Stamps, list_files
from ptycho_core.watching.patterns import ANY_SCAN, FilePattern

__all__ = [
    "CHANGING",
    "PATIENCE",
    "Arrival",
    "Arrivals",
    "Look",
    "Stamps",
]


#: Files of frames that a Dectris master file links to are no scans of their own.
_FRAMES = re.compile(r".*_data_\d{6}\.h5")
#: Ends of names that copying programs use until a file is complete; hidden ones are skipped, too.
_UNFINISHED = (".part", ".partial", ".tmp", ".temp", ".filepart", ".crdownload", "~")
#: A file that does not open is waited for so many times longer than one that does.
PATIENCE = 6
#: What a scan waits for whose files change.
CHANGING = "its files are changing"
_MISSING = (-1, 0)


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
    names
        Names of the files by pattern.
    """

    name: str
    files: tuple[Path, ...]
    stamps: Stamps
    names: list[list[str]]


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
    # of the last look: all files, what scans waited for, and whether known ones lack links
    _before: Stamps | None = field(default=None, init=False)
    _waiting: dict[str, str] = field(factory=dict, init=False)
    _loose: bool = field(default=False, init=False)
    _soon: bool = field(default=False, init=False)

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
        listed = dict(list_files(self.folder, self._depth, self.skipped))
        if listed == self._before and not (self._tracked or self._loose):
            return Look(ready=[], waiting=self._waiting, soon=False, changed=False)
        self._before, self._loose, self._changed, self._soon = listed, False, False, False
        self._waiting = {}
        scans, parts = self._scans(listed), self._linked(known)
        self._tracked = {name: one for name, one in self._tracked.items() if name in scans}
        ready = []
        for name in sorted(scans, key=natural):
            files = tuple(one for of_pattern in scans[name] for one in of_pattern)
            stamps = self._stamps(name, scans[name], listed.__getitem__)
            is_part = bool(files) and self.folder / files[0] in parts
            if is_part or self._is_known(stamps, known.get(name)):
                self._tracked.pop(name, None)
            elif (why := self._wrong_number(name, scans[name])) or (
                why := self._wait(name, files, stamps)
            ):
                self._waiting[name] = why
            else:
                ready.append(
                    Arrival(
                        name=name,
                        files=tuple(self.folder / one for one in files),
                        stamps=self._tracked[name].stamps,
                        names=scans[name],
                    )
                )
        parts = self._linked(known)  # of masters that were just looked at, too
        ready = [one for one in ready if one.files[0] not in parts]
        return Look(ready=ready, waiting=self._waiting, soon=self._soon, changed=self._changed)

    def unchanged(self, arrival: Arrival) -> bool:
        """Whether the files of a scan are still as they were found complete."""
        now = self._stamps(arrival.name, arrival.names, self._stamp)
        return now.items() <= arrival.stamps.items()

    def _stamps(self, scan: str, names: list[list[str]], stamp: Callable[[str], Stamp]) -> Stamps:
        """Return the stamps of the files of a scan; those of a pattern for several have one."""
        stamps: Stamps = {}
        for pattern, of_pattern in zip(self.patterns, names, strict=True):
            found = {name: stamp(name) for name in of_pattern}
            if found and pattern.several:
                sizes, changed = zip(*found.values(), strict=True)
                found = {pattern.of(scan): (sum(sizes), max(changed))}
            stamps |= found
        return stamps

    def _scans(self, listed: Stamps) -> dict[str, list[list[str]]]:
        """Return for each scan the names of its files, by pattern."""
        scans: dict[str, list[list[str]]] = {}
        for file in sorted(listed, key=natural):
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
        """Name a kind of file of which a scan has none, or too many."""
        for pattern, found in zip(self.patterns, files, strict=True):
            if not found:
                return f"no file {pattern.of(name)} yet"
            if len(found) > 1 and not pattern.several:
                return f"{found[0]} and {found[1]} are both its file; name one kind with --pattern"
        return ""

    @property
    def _depth(self) -> int:
        named = (*self.patterns, *([] if self.trigger is None else [self.trigger]))
        return max(pattern.depth for pattern in named)

    def _linked(self, known: Mapping[str, Stamps]) -> set[Path]:
        """Return the files that others link to: they are no scans of their own."""
        linked = {path for one in self._tracked.values() for path in one.links}
        return linked | {self.folder / one for files in known.values() for one in list(files)[1:]}

    def _is_known(self, stamps: Stamps, known: Stamps | None) -> bool:
        """Whether files are as they were, but for some that were removed, and so are links."""
        if known is None or not stamps or not stamps.keys() <= known.keys():
            return False
        for name, (size, changed) in stamps.items():
            before = known[name]
            fewer = _is_of_several(name) and size < before[0] and changed <= before[1]
            if (size, changed) != before and not fewer:
                return False
        missing = [name for name in known.keys() - stamps.keys() if known[name] == _MISSING]
        self._loose |= bool(missing)
        return all(self._stamp(name) == _MISSING for name in missing)

    def _stamp(self, name: str) -> Stamp:
        """Return the stamp of a file that others link to."""
        try:
            status = (self.folder / name).stat()
        except OSError:
            return _MISSING
        return status.st_size, status.st_mtime_ns

    def _wait(self, name: str, files: tuple[str, ...], stamps: Stamps) -> str:
        """Say what a scan waits for; nothing if it is complete."""
        if self._is_changing(name, stamps):
            return CHANGING
        if self.trigger is not None:
            triggers = (self.trigger.scan_of(file) for file in self._before or ())
            if name not in triggers:
                return f"no file {self.trigger.of(name)} yet"
        return self._lacking(name, files, stamps)

    def _is_changing(self, name: str, files: Stamps) -> bool:
        """Whether files of a scan changed a moment ago; new ones are taken for changing."""
        now, tracked = self.clock(), self._tracked.get(name)
        links = () if tracked is None else tracked.links
        stamps = self._with_links(files, links)
        if tracked is None or tracked.stamps != stamps:
            self._tracked[name] = _Tracked(stamps=stamps, since=now, links=links)
            self._changed = True
            self._soon |= tracked is None
            return tracked is not None or self.settle > 0
        waiting = now - tracked.since < self.settle
        self._soon |= waiting
        return waiting

    def _lacking(self, name: str, files: tuple[str, ...], own: Stamps) -> str:
        """Say what is missing in files that do not change."""
        now, tracked = self.clock(), self._tracked[name]
        found = {one: wholeness(self.folder / one) for one in files}
        links = tuple(dict.fromkeys(path for one in found.values() for path in one.links))
        if links != tracked.links:  # they may be changing
            stamps = self._with_links(own, links)
            self._tracked[name] = _Tracked(stamps=stamps, since=now, links=links)
            self._soon = True
            return CHANGING
        patient = now - tracked.since < self.patience
        for file, one in found.items():
            if one.held:
                return f"{file} is still open in its writer"
            if patient and one.problem:
                return f"{file} does not open yet ({one.problem})"
            if patient and one.missing:
                return f"{one.missing[0].name}, to which {file} links, is missing"
        return ""

    def _with_links(self, files: Stamps, links: tuple[Path, ...]) -> Stamps:
        names = (os.path.relpath(path, self.folder) for path in links)
        return files | {name: self._stamp(name) for name in names}


def _is_of_several(name: str) -> bool:
    """Whether a stamp is one of several files, by the name that `Arrivals` gives it."""
    return "*" in name or "?" in name
