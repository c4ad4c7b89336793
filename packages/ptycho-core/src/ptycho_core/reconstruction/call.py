"""Reconstruct a scan with a trained network in one call."""

from contextlib import nullcontext
from typing import Any

import numpy as np
from ptycho_config.paths import expanded
from ptycho_data import Bundle, Scan

from ptycho_core.probe_choice import Probe
from ptycho_core.progress.base import log_to_stderr, no_progress, show_progress
from ptycho_core.reconstruction.run import ReconstructionRun
from ptycho_core.reconstruction.work import Extras
from ptycho_core.results import InferenceResult
from ptycho_core.run_settings import AnyPath, call_layers, is_path
from ptycho_core.training.model import TrainedModel

__all__ = ["reconstruct"]


def reconstruct(
    model: TrainedModel | Bundle | AnyPath,
    scan: Scan | AnyPath,
    *,
    output: AnyPath | None = None,
    probe: Probe | AnyPath | None = None,
    config_file: AnyPath | None = None,
    scan_index: int | None = None,
    first_probe: str | None = None,
    refine: int = 0,
    refine_probe: bool = False,
    refine_positions: bool = False,
    half_scan_frc: bool = False,
    uncertainty: bool = False,
    pictures: bool = True,
    report: bool = True,
    tiff: bool = False,
    unwrap: bool = False,
    overwrite: bool = False,
    progress: bool = True,
    **settings: Any,
) -> InferenceResult:
    """Reconstruct the object of a scan with a trained network.

    Does what ``ptycho infer`` does, with the same defaults and the same records.

    Parameters
    ----------
    model
        Result of `ptycho_core.train`, a bundle, or a bundle's file or folder.
    scan
        Scan to reconstruct, or its file.
    output
        Folder for the object, pictures, metrics and the record of the run. Without it nothing is
        written.
    probe
        Probe modes (M, N, N), or one (N, N), or an NPZ file with them. Default: the bundle's or the
        scan's, see `ptycho_core.probe_choice`.
    config_file
        Settings in TOML, YAML or JSON; those given by keyword take precedence.
    scan_index
        Which scan to reconstruct, if the file holds several; see `Scan.scan_index`.
    first_probe
        Where the probe comes from instead: ``auto`` finds it from the patterns; see
        `ptycho_core.first_probe.sources` for files of other programs and optics.
    refine
        Epochs of the iterative solver, which start from the network's object.
    refine_probe
        Whether the solver refines the probe: with the object if `refine` is given, and otherwise
        before the network, as in `ptycho_core.train`.
    refine_positions
        Whether the solver refines the positions too; needs `refine`.
    half_scan_frc
        Whether to reconstruct two halves of the patterns too, for ``metrics["half_scan_frc"]``.
    uncertainty
        Whether to estimate the standard errors of amplitude and phase too, from several passes
        over halves of the scan and a simulated one: see `ptycho_core.uncertainty`.
    pictures
        Whether pictures are among the files in the output folder.
    report
        Whether a report for people, ``report.html``, is among them.
    tiff
        Whether amplitude and phase are among them as TIFF, see `ptycho_data.tiffs.write_tiffs`.
    unwrap
        Whether pictures and report show the phase without jumps of 2 pi; the object stays as it is.
    overwrite
        Replace existing results in the output folder.
    progress
        Show progress and log lines on standard error. A program that has configured `logging`
        gets the lines there.
    settings
        Any setting of the inference and the execution by its name: ``n_groups=512``.

    Returns
    -------
    InferenceResult
        With ``object``, ``coverage``, ``reconstruction`` and ``metrics``, among others.

    Raises
    ------
    ConfigError
        With all settings that do not exist, break a rule, or contradict the model.
    InvalidValueError
        Settings, scan, bundle and backend do not match each other.
    MissingPackageError
        The backend is not installed; the message has the pip command.
    BundleError, ScanFormatError
        A file does not hold an intact bundle, or a valid scan.
    UnusableScanError
        No method can reconstruct the scan.
    OutputExistsError
        The folder holds results, and `overwrite` is not set.
    InferenceInterrupted
        After Ctrl-C or SIGTERM during a step after the network, with the result so far.
    """
    arguments = {
        "model_path": model,
        "test_data_file": scan,
        "probe_file": probe,
        "output_dir": output,
    }
    run = ReconstructionRun(
        layers=call_layers(settings, arguments, config_file),
        model=model,
        scan=scan,
        output=None if output is None else expanded(output),
        probe=None if probe is None or is_path(probe) else np.asarray(probe),
        scan_index=scan_index,
        first_probe=first_probe,
        extras=Extras(
            refine=refine,
            refine_probe=refine_probe,
            refine_positions=refine_positions,
            half_scan_frc=half_scan_frc,
            uncertainty=uncertainty,
        ),
        pictures=pictures,
        report=report,
        tiff=tiff,
        unwrap=unwrap,
        overwrite=overwrite,
        progress=show_progress if progress else no_progress,
    )
    run.check()
    with log_to_stderr("ptycho_core", run.backend.package) if progress else nullcontext():
        return run.run()
