"""Save the model that this process trained last."""

import logging
from os import PathLike
from pathlib import Path
from typing import Any

from ptycho_config import PtychoError
from ptycho_data import Bundle, save_bundle

__all__ = ["keep", "save"]

log = logging.getLogger(__name__)

_trained: Bundle | None = None


def keep(bundle: Bundle) -> None:
    """Keep the model that was trained last, for `save`."""
    global _trained
    _trained = bundle


def save(out_prefix: str | PathLike[str]) -> Path:
    """Write the bundle of the model that was trained last, replacing an existing one.

    Parameters
    ----------
    out_prefix
        A file name that ends in ``.zip``, or a folder, which gets ``wts.h5.zip``.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    PtychoError
        If no model was trained in this process.
    OSError
        If the file cannot be written.
    """
    if _trained is None:
        raise PtychoError("no model to save: none was trained in this process (run_cdi_example)")
    path = save_bundle(out_prefix, _trained, overwrite=True)
    log.info("model saved to %s", path)
    return path


def __getattr__(name: str) -> Any:
    """Name the successor of a class that is gone."""
    if name == "ModelManager":
        raise ImportError(
            "ptycho.model_manager.ModelManager is gone: use ptycho.model_manager.save and "
            "ptycho.workflows.components.load_inference_bundle"
        )
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
