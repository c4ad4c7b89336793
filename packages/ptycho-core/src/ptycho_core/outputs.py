"""Check output files and folders before any work."""

import contextlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from ptycho_config.errors import InvalidValueError
from ptycho_data import RESULT_FILES, refuse_existing

from ptycho_core.record import RUN_FILE

__all__ = ["RECONSTRUCTION_FILES", "not_an_input", "output_file", "output_folder"]

#: Files that a reconstruction writes into its folder.
RECONSTRUCTION_FILES = (*RESULT_FILES, RUN_FILE)


def _prove_writable(folder: Path) -> None:
    """Write a file in a folder and remove it again, with the folders made for it."""
    made = [path for path in (folder, *folder.parents) if not os.path.lexists(path)]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (FileExistsError, NotADirectoryError) as error:
        msg = f"{folder}: is not a folder; choose another output folder"
        raise NotADirectoryError(msg) from error
    except OSError as error:
        reason = error.strerror or str(error)
        msg = f"{folder}: cannot write into this folder ({reason}); choose another output folder"
        raise PermissionError(msg) from error
    finally:
        for path in made:  # a command that fails later should not leave an empty folder behind
            with contextlib.suppress(OSError):
                path.rmdir()


def output_folder(folder: Path, names: Iterable[str], *, overwrite: bool) -> Path:
    """Check that an output folder can be written to, without changing anything.

    Parameters
    ----------
    folder
        Output folder; it and its parents may be missing and are then made by the writers.
    names
        Files that the work will write there.
    overwrite
        Accept that they exist.

    Returns
    -------
    Path
        ``folder``.

    Raises
    ------
    OutputExistsError
        One of the files exists and ``overwrite`` is not set; nothing has been touched.
    OSError
        The folder cannot be made or written to.
    """
    if not overwrite:
        refuse_existing(folder / name for name in names)
    _prove_writable(folder)
    return folder


def output_file(path: Path, *, overwrite: bool) -> Path:
    """Check one output file; see :func:`output_folder` for what is raised."""
    if path.is_dir():
        msg = f"{path}: is a folder, not a file; name the output file in it"
        raise IsADirectoryError(msg)
    output_folder(path.parent, [path.name], overwrite=overwrite)
    return path


def not_an_input(output: Path, inputs: Iterable[Path]) -> None:
    """Refuse to write over an input, even with ``--overwrite``.

    Raises
    ------
    InvalidValueError
        ``output`` is one of the inputs.
    """
    for path in inputs:
        if output.exists() and path.exists() and output.samefile(path):
            raise InvalidValueError(
                f"{output}", "another file than the inputs", "an input of this command"
            )
