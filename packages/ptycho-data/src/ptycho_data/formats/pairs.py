"""The other half of a scan that is kept in two files."""

from collections.abc import Callable
from pathlib import Path

from ptycho_data.errors import WHOLE_FILE, ScanFormatError
from ptycho_data.formats.base import Container, Opened, open_container

__all__ = ["find_in_folder", "find_partner"]

#: Files of a folder that are looked into.
_MOST = 200


def _names(paths: list[Path]) -> str:
    return ", ".join(path.name for path in paths[:5]) + (", ..." if len(paths) > 5 else "")


def find_in_folder(
    folder: Path, wanted: Callable[[Container], bool], usual: tuple[str, ...]
) -> list[Path]:
    """Look into the files of a folder.

    Parameters
    ----------
    folder
        Where to look; not into folders in it.
    wanted
        Tells by its content whether a file is one of those looked for.
    usual
        Names that are enough if a file of this name is wanted; the first one wins.

    Returns
    -------
    list of Path
        One file if it has a usual name, otherwise all that are wanted.
    """

    def fits(path: Path) -> bool:
        try:
            with open_container(path) as file:
                return wanted(file)
        except ScanFormatError:
            return False

    for name in usual:
        if (folder / name).is_file() and fits(folder / name):
            return [folder / name]
    try:
        inside = sorted(path for path in folder.iterdir() if path.is_file())[:_MOST]
    except OSError:
        return []
    return [path for path in inside if fits(path)]


def find_partner(
    opened: Opened, what: str, wanted: Callable[[Container], bool], usual: tuple[str, ...]
) -> Container:
    """Open the file with the other half: the one that was named, or one beside the first.

    Raises
    ------
    ScanFormatError
        There is none, or several and none of a usual name.
    """
    here = opened.file.path

    def fail(path: Path, found: str, expected: str) -> ScanFormatError:
        return ScanFormatError.of(path, WHOLE_FILE, found, expected)

    if opened.companion is not None:
        named = opened.also(opened.companion)
        if not wanted(named):
            raise fail(opened.companion, f"a file without {what}", f"the {what} of {here.name}")
        return named
    candidates = [
        path for path in find_in_folder(here.parent, wanted, usual) if not path.samefile(here)
    ]
    if len(candidates) != 1:
        there = f"{len(candidates)} files with {what} beside it ({_names(candidates)})"
        found = there if candidates else f"no {what}, here or in a file beside it"
        raise fail(here, found, f"one file with {what}: in this folder, or named as companion "
                   "(ptycho convert IN OUT --companion FILE)")  # fmt: skip
    return opened.also(candidates[0])
