"""Train a network on a scan or several in one call."""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
from ptycho_config import Layer
from ptycho_config.paths import expanded
from ptycho_data import Scan

from ptycho_core.live_page import live_page, parse_address
from ptycho_core.models import AnyModel
from ptycho_core.probe_choice import Probe
from ptycho_core.progress.base import log_to_stderr
from ptycho_core.ranks import is_first_process
from ptycho_core.run_settings import AnyPath, call_layers, is_path
from ptycho_core.training.model import TrainedModel
from ptycho_core.training.run import TrainingRun

__all__ = ["train"]


def train(
    scans: Scan | AnyPath | Sequence[Scan | AnyPath],
    *,
    output: AnyPath | None = None,
    test_scan: Scan | AnyPath | None = None,
    probe: Probe | AnyPath | None = None,
    start: AnyModel | None = None,
    refine_probe: bool = False,
    config_file: AnyPath | None = None,
    resume: bool = False,
    report: bool = True,
    overwrite: bool = False,
    progress: bool = True,
    serve: str | None = None,
    **settings: Any,
) -> TrainedModel:
    """Train a network on a scan or several; no ground truth is needed.

    Does what ``ptycho train`` does, with the same defaults and the same records.

    Parameters
    ----------
    scans
        Scan to train on, or its file; several share the network, and each has its own probe. A
        file whose `scan_index` tells several scans apart counts as several.
    output
        Folder for the bundle, checkpoints, metrics and the record of the run. Without it nothing
        is written, and the bundle is kept in memory.
    test_scan
        Scan to validate on after each epoch, or its file. Default: a part of each scan.
    probe
        Probe modes (M, N, N), or one (N, N), or an NPZ file with them, to use instead of the scans'
        own.
    start
        Trained model of the same network to start from, of any backend: a result of `train`, a
        bundle, or its file or folder. A few epochs at a lower learning rate are then the default:
        see `ptycho_core.fine_tuning`.
    refine_probe
        Whether the solver refines the probe of each scan first. The network is trained with the
        refined probe, and reconstructs with it.
    config_file
        Settings in TOML, YAML or JSON; those given by keyword take precedence.
    resume
        Resume from the last checkpoint in the output folder.
    report
        Write a report for people, ``report.html``, into the output folder.
    overwrite
        Replace existing results in the output folder.
    progress
        Show progress and log lines on standard error. A program that has configured `logging`
        gets the lines there.
    serve
        Address of a page that shows the training in a browser: ``8050``, ``HOST:PORT``; see
        `ptycho_core.live_page`.
    settings
        Any setting of the model, the training and the execution by its name: ``nepochs=20``.

    Returns
    -------
    TrainedModel

    Raises
    ------
    ConfigError
        With all settings that do not exist or break a rule.
    InvalidValueError
        Settings, scans, backend and the model to start from do not match each other.
    BundleError
        There is no intact model to start from.
    MissingPackageError
        The backend is not installed; the message has the pip command.
    ScanFormatError
        A file does not hold a valid scan.
    UnusableScanError
        No method can reconstruct a scan.
    OutputExistsError
        The folder holds results, and neither `overwrite` nor `resume` is set.
    DivergenceError
        The loss is not finite.
    TrainingInterrupted
        A KeyboardInterrupt: after Ctrl-C or SIGTERM, with the result so far.
    """
    several = scans if isinstance(scans, Sequence) and not isinstance(scans, str) else [scans]
    arguments = {
        "train_data_file": next(iter(several), None),
        "test_data_file": test_scan,
        "probe_file": probe,
        "output_dir": output,
    }
    address = None if serve is None else parse_address(serve)
    layers = call_layers(settings, arguments, config_file)
    if not progress:
        layers.append(Layer("command default", {"enable_progress_bar": False}))
    run = TrainingRun(
        layers=layers,
        scans=several,
        output=None if output is None else expanded(output),
        test_scan=test_scan if isinstance(test_scan, Scan) else None,
        probe=None if probe is None or is_path(probe) else np.asarray(probe),
        start=start,
        refine_probe=refine_probe,
        resume=resume,
        report=report,
        overwrite=overwrite,
    )
    run.check()
    with (
        log_to_stderr("ptycho_core", run.package) if progress else nullcontext(),
        live_page(address if is_first_process(run.processes) else None) as page,
    ):
        return run.on(page).run()
