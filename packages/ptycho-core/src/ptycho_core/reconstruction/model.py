"""The trained network of a reconstruction: in memory, in a file, or read once for many scans."""

from pathlib import Path
from typing import Any, Self

from attrs import frozen
from ptycho_config.paths import expanded
from ptycho_data import Bundle, load_bundle

from ptycho_core.record import Inputs
from ptycho_core.run_settings import AnyPath
from ptycho_core.training.model import TrainedModel

__all__ = ["AnyModel", "OpenedModel", "load_model", "model_path"]


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
        """Read a model; errors as of `ptycho_data.load_bundle`."""
        read = Inputs({"model_path": Path(path)})
        bundle = load_bundle(path)
        return cls(Path(path), bundle, read.described())


AnyModel = TrainedModel | Bundle | OpenedModel | AnyPath


def model_path(model: AnyModel) -> Path | None:
    """Return the file or folder of a model; None if it is in memory alone."""
    if isinstance(model, OpenedModel):
        return model.path
    return None if isinstance(model, TrainedModel | Bundle) else expanded(model)


def load_model(model: AnyModel, *, described: bool) -> tuple[Bundle, dict[str, dict[str, Any]]]:
    """Return the bundle of a model, and its entry among the inputs in the record of a run.

    Parameters
    ----------
    model
        The model, or its file.
    described
        Whether the entry is needed; without it, no hashes of a file are computed.
    """
    if isinstance(model, OpenedModel):
        return model.bundle, model.described
    if isinstance(model, TrainedModel):
        return model.bundle, {}
    if isinstance(model, Bundle):
        return model, {}
    if not described:
        return load_bundle(model), {}
    opened = OpenedModel.read(model)
    return opened.bundle, opened.described
