"""A trained network as an argument: in memory, in a file, or read once for many scans."""

import zipfile
from os import PathLike
from pathlib import Path
from typing import Any, Protocol, Self

from attrs import frozen
from ptycho_data import BUNDLE_NAME, Bundle, finish_commit, load_bundle

from ptycho_core.pretrained import located
from ptycho_core.record import Inputs
from ptycho_core.run_settings import AnyPath, is_path

__all__ = ["AnyModel", "OpenedModel", "is_model", "load_model", "model_path"]


@frozen(eq=False)
class OpenedModel:
    """A trained network that is read once, for many scans, by a caller that logs the settings.

    Attributes
    ----------
    path : Path
        The bundle's file, or its folder.
    bundle : Bundle
    described : dict
        Its entry among the inputs in the record of a run.
    """

    path: Path
    bundle: Bundle
    described: dict[str, dict[str, Any]]

    @classmethod
    def read(cls, path: AnyPath) -> Self:
        """Read a model, or an installed one by its name; errors as of `ptycho_data.load_bundle`."""
        place = located(path)
        read = Inputs({"model_path": place})
        bundle = load_bundle(place)
        return cls(place, bundle, read.described())


#: The member of a bundle that says what the others are.
_MANIFEST = "manifest.json"


class HasBundle(Protocol):
    """What a training returns, among others."""

    @property
    def bundle(self) -> Bundle:
        """Weights, probe, scaling and settings."""


AnyModel = HasBundle | Bundle | AnyPath
"""A `ptycho_core.TrainedModel`, a bundle, an `OpenedModel`, a file or folder, or the name of an
installed model: see `ptycho_core.pretrained`."""


def model_path(model: AnyModel) -> Path | None:
    """Return the file or folder of a model; None if it is in memory alone."""
    if isinstance(model, OpenedModel):
        return model.path
    return located(model) if is_path(model) else None


def load_model(model: AnyModel, *, described: bool) -> tuple[Bundle, dict[str, dict[str, Any]]]:
    """Return the bundle of a model, and its entry among the inputs in the record of a run.

    Parameters
    ----------
    model
        The model, its file, or the name of an installed one.
    described
        Whether the entry is needed; without it, no hashes of a file are computed.
    """
    if isinstance(model, OpenedModel):
        return model.bundle, model.described
    if isinstance(model, str | PathLike):
        if not described:
            return load_bundle(located(model)), {}
        opened = OpenedModel.read(model)
        return opened.bundle, opened.described
    return model if isinstance(model, Bundle) else model.bundle, {}


def is_model(path: Path) -> bool:
    """Whether a path is that of a trained model, whole or not: its folder, or a ZIP file.

    A ZIP file is one if its name or a member says so.
    """
    if path.is_dir():
        finish_commit(path)
        return any((path / name).exists() for name in (BUNDLE_NAME, _MANIFEST))
    if path.suffix == ".zip":
        return True
    try:
        with zipfile.ZipFile(path) as archive:
            return _MANIFEST in archive.namelist()
    except (OSError, zipfile.BadZipFile, ValueError):
        return False
