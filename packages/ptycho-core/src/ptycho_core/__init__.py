"""Training, reconstruction and analysis of scans, independent of the deep-learning framework.

`train` makes a model from scans, and `reconstruct` an object from a model and a scan::

    from ptycho_core import reconstruct, train

    model = train("scan.npz", output="model", nepochs=20)
    result = reconstruct(model, "scan.npz")
    result.object

The functions named here are imported when they are first used, because the modules that define
them import SciPy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ptycho_core.__about__ import __version__

if TYPE_CHECKING:
    from ptycho_core.analysis.evaluation import evaluate
    from ptycho_core.analysis.half_scans import half_scan_frc
    from ptycho_core.analysis.inspection import inspect_scan
    from ptycho_core.analysis.recommendation import recommend
    from ptycho_core.reconstruction.call import reconstruct
    from ptycho_core.refinement import refine
    from ptycho_core.simulation import simulate_scan
    from ptycho_core.simulation_parts import SimulationParts
    from ptycho_core.solving.call import solve_scan
    from ptycho_core.training.call import train
    from ptycho_core.training.model import TrainedModel

__all__ = [
    "SimulationParts",
    "TrainedModel",
    "__version__",
    "evaluate",
    "half_scan_frc",
    "inspect_scan",
    "recommend",
    "reconstruct",
    "refine",
    "simulate_scan",
    "solve_scan",
    "train",
]

_MODULES = {
    "SimulationParts": "simulation_parts",
    "TrainedModel": "training.model",
    "evaluate": "analysis.evaluation",
    "half_scan_frc": "analysis.half_scans",
    "inspect_scan": "analysis.inspection",
    "recommend": "analysis.recommendation",
    "reconstruct": "reconstruction.call",
    "refine": "refinement",
    "simulate_scan": "simulation",
    "solve_scan": "solving.call",
    "train": "training.call",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
