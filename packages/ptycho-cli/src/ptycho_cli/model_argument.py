"""The model among the arguments of ``ptycho infer``, which may be left out."""

from collections.abc import Sequence
from pathlib import Path

import click
from ptycho_config.errors import MissingPackageError

from ptycho_cli.console import note

__all__ = ["first_is_model", "model_and_scans"]


def first_is_model(first: Path | None, scans: Sequence[Path]) -> bool:
    """Whether the first argument is a model and not a scan; a single argument is a scan.

    Raises
    ------
    click.UsageError
        There is no scan among the arguments.
    """
    from ptycho_core.models import is_model  # imports HDF5, which `ptycho --help` need not

    if first is None:
        raise click.UsageError("Missing argument 'SCAN...'.")
    model = first.exists() and is_model(first)  # a pattern of scans does not exist
    if not scans:
        if model:
            raise click.UsageError(f"Missing argument 'SCAN...': {first} is a model")
        return False
    return model or (first.is_dir() and not _is_scan(first))  # what is missing there is told later


def _is_scan(path: Path) -> bool:
    from ptycho_data import ScanFormatError, format_of

    try:
        format_of(path)
    except (ScanFormatError, OSError):
        return False
    return True


def model_and_scans(first: Path | None, scans: Sequence[Path]) -> tuple[Path, tuple[Path, ...]]:
    """Return the model, the installed one if none is named, and the scans.

    Raises
    ------
    click.UsageError
        There is no scan, or neither a model nor an installed one.
    """
    from ptycho_core.pretrained import UNIVERSAL, find_model

    if first_is_model(first, scans):
        assert first is not None  # noqa: S101 - it is a model
        return first, tuple(scans)
    assert first is not None  # noqa: S101 - else it would have been refused
    try:
        found = find_model(UNIVERSAL)
    except MissingPackageError as error:
        raise click.UsageError(f"name a MODEL before the scans: {error}") from error
    note(f"no model named: taking {found}, see `ptycho bundle show {found.name}`")
    return found.path, (first, *scans)
