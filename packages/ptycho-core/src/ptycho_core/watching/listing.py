"""The files in a folder, and what tells whether they changed."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

__all__ = ["Stamp", "Stamps", "list_files"]

#: Size of a file, and the time of its last change in nanoseconds.
Stamp = tuple[int, int]
#: Of each file by its name in the folder; of the files of a pattern for several, by the pattern,
#: the sum of their sizes and a checksum of all stamps.
Stamps = dict[str, Stamp]


def list_files(folder: Path, deepest: int, skipped: Path | None) -> Iterator[tuple[str, Stamp]]:
    """Yield name and stamp of the regular files in a folder, and in folders of it, but hidden ones.

    What vanishes meanwhile is left out.

    Raises
    ------
    OSError
        The folder itself cannot be read.
    """
    folders = [("", 0)]
    while folders:
        inside, depth = folders.pop()
        try:
            entries = list(os.scandir(folder / inside))
        except OSError:
            if not inside:
                raise
            continue
        for entry in entries:
            if entry.name.startswith("."):
                continue
            try:
                if entry.is_dir(follow_symlinks=False):
                    if depth < deepest and Path(entry.path).resolve() != skipped:
                        folders.append((f"{inside}{entry.name}/", depth + 1))
                    continue
                status = entry.stat()
            except OSError:  # gone since, or a link that leads nowhere
                continue
            if stat.S_ISREG(status.st_mode):
                yield inside + entry.name, (status.st_size, status.st_mtime_ns)
