"""Checkpoint files of a training: their names, which are kept, and which one is resumed from.

Both backends write checkpoints as ZIP archives (those of PyTorch and NPZ) with `write_sealed`: a
checkpoint is there whole or not at all, and one that was damaged since is noticed.
"""

import hashlib
import logging
import math
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from attrs import define, evolve, field, frozen
from ptycho_config import PyTorchExecutionConfig
from ptycho_config.errors import InvalidValueError
from ptycho_data import atomic_path, folder_lock, need_space, remove_leftovers, staging
from ptycho_physics import DivergenceError

__all__ = [
    "CheckpointFiles",
    "KeptEpochs",
    "check_room",
    "check_whole",
    "newest_whole",
    "replacing",
    "write_sealed",
]

log = logging.getLogger(__name__)

T = TypeVar("T")

# Comment of an archive: the checksum of all that is before it.
SEAL = b"SHA-256 "
SEAL_BYTES = len(SEAL) + 64
#: What a checkpoint needs besides its arrays: names, losses, padding.
OVERHEAD_BYTES = 2**17


@frozen
class CheckpointFiles:
    """The checkpoints of a training: that of its last epoch, and those of its best epochs.

    Attributes
    ----------
    last_name : str
        Name of the first.
    best_name : str
        Name of the others, as a format for the number of the epoch, counted from 1.
    folder : Path
        Folder of all of them.
    """

    last_name: str
    best_name: str
    folder: Path = Path("checkpoints")

    def below(self, output: Path) -> "CheckpointFiles":
        """Return the same files in the output folder of a training."""
        return evolve(self, folder=output / self.folder)

    @property
    def old(self) -> "CheckpointFiles":
        """Those of the training before, which are set aside until this one has its own."""
        return evolve(self, folder=self.folder.with_name(f"{self.folder.name}.old"))

    def valid(self) -> "CheckpointFiles":
        """Return these files, or those of the training before if none of these was saved."""
        return self if self.begun() or not self.old.begun() else self.old

    def begun(self) -> bool:
        """Return whether a checkpoint of any backend is there."""
        return any(self.folder.glob("[!.]*"))

    @property
    def last(self) -> Path:
        """The checkpoint of the last epoch."""
        return self.folder / self.last_name

    def best(self, epoch: int) -> Path:
        """Return the checkpoint of an epoch, counted from 1, that is among the best."""
        return self.folder / self.best_name.format(epoch)

    def found(self) -> list[Path]:
        """Return the files that are there: of the last epoch, then of the best, latest first."""
        start, _, _ = self.best_name.partition("{")
        best = self.folder.glob(f"{start}*{self.last.suffix}")
        latest_first = sorted(best, key=lambda path: (len(path.name), path.name), reverse=True)
        return [path for path in (self.last, *latest_first) if os.path.lexists(path)]


def write_sealed(path: Path, archive: bytes | memoryview) -> None:
    """Write a ZIP archive atomically, with the SHA-256 of its bytes as its comment.

    Programs that read the archive need not know of it.

    Parameters
    ----------
    path
        The file to write; an existing one is replaced.
    archive
        A whole archive without a comment.

    Raises
    ------
    OSError
        Naming the file, if the disk is full, among others.
    """
    content = memoryview(archive)[:-2], SEAL_BYTES.to_bytes(2, "little")  # length of the comment
    digest = hashlib.sha256()
    with atomic_path(path, overwrite=True) as temporary, temporary.open("wb") as file:
        for part in content:
            digest.update(part)
            file.write(part)
        file.write(SEAL + digest.hexdigest().encode())


def check_whole(path: Path) -> None:
    """Refuse a checkpoint that is truncated, damaged, or no checkpoint at all.

    Raises
    ------
    InvalidValueError
        Naming the file.
    """
    try:
        if not path.is_file():
            reason = "no regular file" if os.path.lexists(path) else "no such file"
        elif not path.stat().st_size:
            reason = "an empty file"
        else:
            reason = "" if _seal_fits(path) else "a truncated or damaged file"
    except OSError as error:
        reason = error.strerror or "a file that cannot be read"
    if reason:
        raise InvalidValueError(str(path), "a whole checkpoint", reason)


def _seal_fits(path: Path) -> bool:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        left = max(path.stat().st_size - SEAL_BYTES, 0)
        while left and (piece := file.read(min(left, 2**20))):
            digest.update(piece)
            left -= len(piece)
        return file.read() == SEAL + digest.hexdigest().encode()


def newest_whole(
    files: CheckpointFiles, read: Callable[[Path], tuple[int, T]]
) -> tuple[Path, int, T]:
    """Return the checkpoint that a training is resumed from.

    It is that of the last epoch. Where that is missing or damaged, it is the latest of the best
    epochs that is whole, and a warning names both files.

    Parameters
    ----------
    files
        The checkpoints.
    read
        Reads one: returns its number of finished epochs, and its content. Raises
        InvalidValueError if it is no checkpoint of this backend.

    Returns
    -------
    path : Path
        The checkpoint.
    epochs : int
        Its number of finished epochs.
    content
        What ``read`` returned.

    Raises
    ------
    InvalidValueError
        If no checkpoint is whole; it names that of the last epoch.
    """
    problems = {files.last: "no such file"}
    for path in files.found():
        try:
            check_whole(path)
            epochs, content = read(path)
        except InvalidValueError as error:
            problems[path] = error.got
            continue
        if path != files.last:
            bad = problems[files.last]
            log.warning("%s: %s; resuming from %s, epoch %d", files.last, bad, path, epochs)
        return path, epochs, content
    raise InvalidValueError(
        str(files.last),
        "a whole checkpoint",
        problems[files.last],
        "no checkpoint beside it is whole, so start again with --overwrite",
    )


@define
class KeptEpochs:
    """Saves the last epoch and the best epochs of a training, and removes those that are worse.

    A file is removed only when the checkpoint of the last epoch no longer refers to it, so that
    a training killed at any moment finds what it needs.

    Attributes
    ----------
    files : CheckpointFiles
        The checkpoints.
    execution : PyTorchExecutionConfig
        Number of best epochs, and whether the smallest or the largest loss is best.
    kept : list of (float, str)
        Loss and file name of the best epochs, best first; part of every checkpoint.
    """

    files: CheckpointFiles
    execution: PyTorchExecutionConfig
    kept: list[tuple[float, str]] = field(factory=list)

    @property
    def best(self) -> Path | None:
        """Checkpoint of the best epoch so far."""
        return self.files.folder / self.kept[0][1] if self.kept else None

    def save(
        self,
        epoch: int,
        loss: float,
        write: Callable[[Path], None],
        remove: Callable[[Path], None] | None = None,
    ) -> None:
        """Save an epoch.

        Parameters
        ----------
        epoch
            Its number, counted from 1.
        loss
            Its monitored loss; a loss that is no number is worse than any other.
        write
            Writes a checkpoint with the current state, which includes `kept`.
        remove
            Removes one.
        """
        path, most = self.files.best(epoch), self.execution.checkpoint_save_top_k
        before = self.kept
        order = sorted([*before, (loss, path.name)], key=self._badness)
        self.kept = order if most < 0 else order[:most]
        names = {name for _, name in self.kept}
        if path.name in names:
            write(path)
        write(self.files.last)
        for _, dropped in before:
            if dropped not in names:
                (remove or _remove)(self.files.folder / dropped)

    def _badness(self, entry: tuple[float, str]) -> float:
        loss = entry[0] if self.execution.checkpoint_mode == "min" else -entry[0]
        return math.inf if math.isnan(loss) else loss

    def restore(self, kept: Iterable[tuple[float, str]]) -> None:
        """Continue with what a checkpoint has as `kept`, without files that are damaged since."""
        self.kept = []
        for loss, name in kept:
            path = self.files.folder / name
            try:
                check_whole(path)
            except InvalidValueError as error:
                log.warning("%s: %s; the best epoch is chosen without it", path, error.got)
            else:
                self.kept.append((float(loss), name))

    def tidy(self) -> None:
        """Remove epochs that a killed training left behind and that are not kept."""
        names = {name for _, name in self.kept} | {self.files.last_name}
        for path in self.files.found():
            if path.name not in names:
                _remove(path)


def _remove(path: Path) -> None:
    with suppress(OSError):  # a file too many does no harm
        path.unlink()


def check_room(
    files: CheckpointFiles, size: int, execution: PyTorchExecutionConfig, epochs: int
) -> None:
    """Refuse a training whose checkpoints do not fit on the disk.

    Parameters
    ----------
    files
        The checkpoints; those that are there will be replaced.
    size
        Bytes of the arrays of one checkpoint.
    execution
        Number of best epochs to keep.
    epochs
        Number of epochs.

    Raises
    ------
    NoSpaceError
        With the space that is needed, and that is free.
    """
    most = execution.checkpoint_save_top_k
    # the best ones, that of the last epoch, and one being written beside the one it replaces
    count = (epochs if most < 0 else min(most, epochs)) + 2
    present = sum(path.stat().st_size for path in files.found() if path.is_file())
    need_space(files.folder, count * (size + OVERHEAD_BYTES) - present)


@contextmanager
def replacing(files: CheckpointFiles, *, keep: bool) -> Iterator[None]:
    """Start with an empty folder; the files that were in it stay beside it until the work ends.

    They come back if the work diverges, or ends before it has saved a checkpoint of its own; if it
    was killed by then, they come back at the next start. The output folder is locked meanwhile.

    Parameters
    ----------
    files
        Files that the work writes.
    keep
        Keep the content of the folder, for work that resumes from it.

    Raises
    ------
    FolderInUseError
        Another training writes to the output folder.
    """
    folder, old = files.folder, files.old.folder
    with folder_lock(folder.parent):
        if files.valid() != files:
            _exchange(old, folder)
        remove_leftovers(folder.parent)
        _discard(old)
        if not keep and folder.exists():
            folder.replace(old)
        try:
            yield
        except BaseException as error:
            if old.exists() and (isinstance(error, DivergenceError) or not files.begun()):
                _exchange(old, folder)
            raise
        _discard(old)


def _discard(folder: Path) -> None:
    """Remove a folder, or a link to one."""
    if folder.is_symlink():
        folder.unlink()
    shutil.rmtree(folder, ignore_errors=True)


def _exchange(old: Path, folder: Path) -> None:
    """Put a folder in the place of another one, which is removed."""
    # not removed where it is: killed half way, it would seem to be the newer of two trainings
    with staging(folder.parent) as aside:
        if folder.exists():
            folder.replace(aside / folder.name)
        old.replace(folder)
