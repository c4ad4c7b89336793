"""Check output files and folders before any work, and hold a folder during it."""

import contextlib
import os
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import numpy as np
from ptycho_config import Layer
from ptycho_data import (
    BUNDLE_NAME,
    MANIFEST,
    RECONSTRUCTION_SET,
    RESULT_FILES,
    OutputExistsError,
    Scan,
    SetKind,
    finish_commit,
    folder_lock,
    need_space,
    refuse_existing,
    refuse_inputs,
    refuse_irregular,
    replaced_files,
    result_bytes,
)
from ptycho_data.tiffs import TIFF_FILES

from ptycho_core.ranks import is_first_process
from ptycho_core.record import RUN_FILE

__all__ = [
    "CHECKPOINT_FILE",
    "CURVE_FILE",
    "RECONSTRUCTION_FILES",
    "REPORT_FILE",
    "TRAINING_FILES",
    "UNCERTAINTY_FILE",
    "check_result_folder",
    "config_files",
    "held_folder",
    "output_file",
    "output_folder",
    "output_set",
    "refuse_checkpoint",
]

#: Report on a run, for people.
REPORT_FILE = "report.html"
#: Files that a reconstruction writes into its folder.
RECONSTRUCTION_FILES = (*RESULT_FILES, RUN_FILE, REPORT_FILE)
#: Files that a training writes into its folder, besides checkpoints and logs.
TRAINING_FILES = (BUNDLE_NAME, "metrics.json", RUN_FILE, REPORT_FILE, MANIFEST)
#: Picture of the half-scan FRC in it, where it was asked for.
CURVE_FILE = "half_scan_frc.png"
#: Picture of the standard errors in it, where they were asked for.
UNCERTAINTY_FILE = "uncertainty.png"
#: Checkpoint of the solver in it, of a run that is not complete.
CHECKPOINT_FILE = "checkpoint.npz"
#: Objects of more pixels on a side are refused by other checks, which name the position.
_LARGEST_SIDE = 20_000

Inputs = Iterable[str | os.PathLike[str] | None]


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


def output_folder(
    folder: Path, names: Iterable[str], *, overwrite: bool, inputs: Inputs = ()
) -> Path:
    """Check that files can be written to an output folder, without changing anything.

    Parameters
    ----------
    folder
        Output folder; it and its parents may be missing and are then made by the writers.
    names
        Files that the work will write there.
    overwrite
        Accept that they exist.
    inputs
        Files and folders that the work reads.

    Returns
    -------
    Path
        ``folder``.

    Raises
    ------
    OutputExistsError
        One of the files exists and ``overwrite`` is not set; nothing has been touched.
    InvalidValueError
        One of them is an input, or not a regular file.
    OSError
        The folder cannot be made or written to.
    """
    paths = [folder / name for name in names]
    refuse_inputs(paths, inputs)
    if not overwrite:
        refuse_existing(paths)
    for path in paths:
        refuse_irregular(path)
    _prove_writable(folder)
    return folder


def output_file(path: Path, *, overwrite: bool, inputs: Inputs = ()) -> Path:
    """Check one output file; see :func:`output_folder` for what is raised."""
    if path.is_dir():
        msg = f"{path}: is a folder, not a file; name the output file in it"
        raise IsADirectoryError(msg)
    output_folder(path.parent, [path.name], overwrite=overwrite, inputs=inputs)
    return path


def output_set(
    folder: Path,
    kind: SetKind | None,
    names: Iterable[str],
    *,
    overwrite: bool,
    inputs: Inputs = (),
    processes: int = 1,
) -> None:
    """Check that files that belong together can be written to an output folder.

    Parameters
    ----------
    folder, names, overwrite, inputs
        As for `output_folder`. The inputs must not be in a set that is replaced either.
    kind
        Kind of the set, as for `ptycho_data.result_set`.
    processes
        As for `held_folder`: the first of several may hold the folder already.

    Raises
    ------
    OutputExistsError, InvalidValueError, OSError
        As `ptycho_data.replaced_files`, and as `output_folder`.
    FolderInUseError
        Another process writes to the folder.
    """
    finish_commit(folder)
    wanted, read = set(names), list(inputs)
    refuse_inputs([folder / name for name in wanted], read)
    gone = replaced_files(folder, kind, wanted, overwrite=overwrite)
    refuse_inputs([folder / name for name in gone], read)
    _prove_writable(folder)
    with held_folder(folder, processes):
        pass


def check_result_folder(
    folder: Path | None,
    *,
    curve: bool,
    uncertainty: bool = False,
    tiff: bool = False,
    overwrite: bool,
    inputs: Sequence[str | os.PathLike[str] | None] = (),
    processes: int = 1,
    scan: Scan | None = None,
) -> None:
    """Check that a reconstruction can be written to its folder; None writes nothing.

    Parameters
    ----------
    folder, overwrite, inputs, processes
        As for `output_set`.
    curve
        Whether the half-scan FRC is among the results.
    uncertainty
        Whether standard errors are among the results.
    tiff
        Whether amplitude and phase are among them as TIFF.
    scan
        As soon as it has been read: its files are inputs, and its extent says how large the results
        are.

    Raises
    ------
    OutputExistsError, InvalidValueError, FolderInUseError, OSError
        As `output_set`.
    NoSpaceError
        The disk has no room for the results.
    """
    if folder is None:
        return
    more = {CURVE_FILE: curve, UNCERTAINTY_FILE: uncertainty, **dict.fromkeys(TIFF_FILES, tiff)}
    names = (*RECONSTRUCTION_FILES, *(name for name, asked in more.items() if asked))
    check = partial(
        output_set, folder, RECONSTRUCTION_SET, names, overwrite=overwrite, processes=processes
    )
    if scan is None:
        check(inputs=inputs)
        return
    with contextlib.suppress(OutputExistsError):  # appeared meanwhile: said when it is written
        check(inputs=scan.files)
    sides = np.ptp(scan.positions, axis=0) + scan.N
    if (sides < _LARGEST_SIDE).all():
        shape = tuple(int(side) for side in sides)
        need_space(folder, result_bytes(shape, len(scan.probe), scan.N, scan.n))


def refuse_checkpoint(folder: Path | None) -> None:
    """Refuse a folder with the checkpoint of a run that can be resumed.

    Raises
    ------
    OutputExistsError
        It is there.
    """
    if folder is not None and (folder / CHECKPOINT_FILE).exists():
        raise OutputExistsError(
            folder / CHECKPOINT_FILE, "or --resume (resume=True) to continue from it"
        )


def held_folder(folder: Path | None, processes: int = 1) -> AbstractContextManager[None]:
    """Hold an output folder while a run works; None, and any but the first process, hold nothing.

    Parameters
    ----------
    folder
        See `ptycho_data.folder_lock`, also for what is raised.
    processes
        How many do the work of this run together.
    """
    if folder is None or not is_first_process(processes):
        return contextlib.nullcontext()
    return folder_lock(folder)


def config_files(layers: Iterable[Layer]) -> list[str]:
    """Return the configuration files among the sources of settings."""
    return [layer.source for layer in layers if layer.origin == "config file" and layer.source]
