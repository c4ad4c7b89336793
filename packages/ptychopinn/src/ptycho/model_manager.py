"""Save the model that this process trained last."""

import logging
from os import PathLike
from pathlib import Path

from ptycho_config import PtychoError
from ptycho_data import Bundle, save_bundle

from ptycho._moved import MOVED

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


__getattr__ = MOVED.in_module(__name__)
