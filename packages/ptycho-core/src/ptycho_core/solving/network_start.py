"""Start of the solver from the object that a trained network makes of the scan."""

import logging
from pathlib import Path

from ptycho_config import Layer
from ptycho_data import Scan

from ptycho_core.models import OpenedModel
from ptycho_core.progress.base import Progress
from ptycho_core.reconstruction.run import ReconstructionRun
from ptycho_core.solving.warm_start import WarmStart

__all__ = ["network_start"]

log = logging.getLogger(__name__)


def network_start(model: Path, scan: Scan, progress: Progress) -> WarmStart:
    """Reconstruct all patterns of a scan with a network, for the solver to start from.

    Parameters
    ----------
    model
        Bundle, or its folder.
    scan
        The scan to solve.
    progress
        Progress display.

    Raises
    ------
    BundleError
        If the model is damaged.
    InvalidValueError
        If model and scan do not match.
    MissingPackageError
        If the backend of the model is not installed.
    """
    log.info("starting from the object of the network in %s", model)
    run = ReconstructionRun(
        layers=[Layer("override", {"model_path": model})],
        model=OpenedModel.read(model),
        scan=scan,
        progress=progress,
    )
    run.check()
    result = run.run()
    record = {"network": run.bundle.identity, "r_factor_network": result.r_factor}
    return WarmStart(reconstruction=result.reconstruction, record=record)
