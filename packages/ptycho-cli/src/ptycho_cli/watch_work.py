"""What ``ptycho watch`` does with a scan: the solver or a network, with one set of settings."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from ptycho_config import Layer
from ptycho_core.batch import Finished
from ptycho_core.models import OpenedModel
from ptycho_core.progress.base import Progress
from ptycho_core.reconstruction.run import ReconstructionRun
from ptycho_core.reconstruction.work import Extras
from ptycho_core.solving.devices import Devices
from ptycho_core.solving.run import SolverRun
from ptycho_core.watching import Attempt

from ptycho_cli.batch import finished
from ptycho_cli.console import progress
from ptycho_cli.layers import refusals_as_usage

__all__ = ["ScanWork", "with_network", "with_solver"]

#: Reconstructs a scan into a folder, with arguments for its reading.
ScanWork = Callable[[Path, Path, Mapping[str, Any], Attempt], Finished]


def with_solver(
    settings: Mapping[str, Any], accelerator: str, *, pictures: bool, unwrap: bool, report: bool
) -> ScanWork:
    """Return work by the iterative solver, with arguments of `ptycho_physics.solve`."""

    def run(scan: Path, output: Path, reading: Mapping[str, Any], attempt: Attempt) -> Finished:
        one = SolverRun(
            scan=scan,
            output=output,
            reading=reading,
            settings=settings,
            devices=Devices(accelerator=accelerator),
            pictures=pictures,
            unwrap=unwrap,
            report=report,
            resume=attempt.resume,
            overwrite=attempt.replace,
            progress=_progress_of(output.name),
        )
        one.check()
        return finished(one.run())

    return run


def with_network(
    layers: Sequence[Layer],
    model: Path,
    refine: int,
    *,
    pictures: bool,
    unwrap: bool,
    report: bool,
) -> ScanWork:
    """Return work by a trained network, which is read and checked now.

    Raises
    ------
    click.UsageError
        Settings cannot work, or need several processes.
    BundleError
        There is no intact model.
    """
    opened = OpenedModel.read(model)
    with refusals_as_usage():
        first = ReconstructionRun(layers=layers, model=opened, scan=model)
        first.check()
    if first.processes > 1:
        raise click.UsageError("devices must be 1 to watch a folder; start one watch per device")

    def run(scan: Path, output: Path, reading: Mapping[str, Any], attempt: Attempt) -> Finished:
        one = ReconstructionRun(
            layers=layers,
            model=opened,
            scan=scan,
            output=output,
            reading=reading,
            extras=Extras(refine=refine),
            pictures=pictures,
            unwrap=unwrap,
            report=report,
            overwrite=attempt.replace,
            progress=_progress_of(output.name),
        )
        one.check()
        return finished(one.run(), refine)

    return run


def _progress_of(scan: str) -> Progress:
    return lambda total, label: progress(total, f"{scan}: {label}")
