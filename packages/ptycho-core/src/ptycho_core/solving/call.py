"""Reconstruct a scan with the iterative solver in one call, without a network."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from ptycho_config.paths import expanded
from ptycho_data import Domain, Scan

from ptycho_core.live_page import live_page, parse_address
from ptycho_core.pretrained import located
from ptycho_core.progress.base import log_to_stderr, no_progress, show_progress
from ptycho_core.ranks import is_first_process
from ptycho_core.run_settings import AnyPath
from ptycho_core.solving.devices import Devices
from ptycho_core.solving.results import SolverInterrupted, SolverResult
from ptycho_core.solving.run import SolverRun
from ptycho_core.solving.solutions import reconstruction_of

__all__ = ["SolverInterrupted", "SolverResult", "SolverRun", "reconstruction_of", "solve_scan"]


def solve_scan(
    scan: Scan | AnyPath,
    *,
    output: AnyPath | None = None,
    domain: Domain | None = None,
    probe_file: AnyPath | None = None,
    first_probe: str | None = None,
    start: AnyPath | None = None,
    scan_index: int | None = None,
    epochs: int = 20,
    auto: bool = False,
    accelerator: str = "auto",
    devices: int = 1,
    num_nodes: int = 1,
    max_time: float | None = None,
    nphotons: float | None = None,
    half_scan_frc: bool = False,
    uncertainty: bool = False,
    pictures: bool = True,
    report: bool = True,
    tiff: bool = False,
    unwrap: bool = False,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
    serve: str | None = None,
    callback: Callable[[int, float], None] | None = None,
    **settings: Any,
) -> SolverResult:
    """Reconstruct a scan iteratively, starting from a uniform object.

    Does what ``ptycho reconstruct`` does, with the same defaults and the same records.

    Parameters
    ----------
    scan
        A scan, or a file of any known format.
    output
        Folder for the object, pictures, metrics and the record of the run. Without it nothing is
        written.
    domain
        ``counts`` or ``amplitude``, if the file does not state it.
    probe_file
        NPZ with ``probe`` or ``probeGuess``, which replaces the probe in the scan's file.
    first_probe
        Where the probe comes from instead: ``auto`` finds it from the patterns; see
        `ptycho_core.first_probe.sources` for files of other programs and optics.
    start
        Result to start from, its object, probe and positions: see `ptycho_core.solving.warm_start`;
        or a trained model, or the name of an installed one, which first reconstructs the scan. The
        probe is another one if it is given.
    scan_index
        Which scan to reconstruct, if the file holds several; see `Scan.scan_index`.
    epochs
        Maximum number of passes over the patterns.
    auto
        First decide in short runs which switches the data ask for: refinement of probe, positions
        and modes, light of each pattern, background. See `ptycho_core.solving.ladder`; what
        `settings` switch on stays on.
    accelerator
        ``numpy``; ``cpu``, ``gpu`` or ``cuda`` with PyTorch; or ``auto``: a GPU where there is one
        and enough work, else NumPy.
    devices, num_nodes
        Number of devices of each node, and of nodes, that share the patterns. Each has a process,
        which this call starts unless a launcher has; only the first writes and returns metrics.
    max_time
        Minutes after which the solver ends with what it has, to be resumed; results are written
        after that.
    nphotons
        Mean photons per pattern if the scan does not state it. It affects the verdict only, because
        the solver works on relative counts.
    half_scan_frc
        Whether to reconstruct two halves of the patterns too, for ``metrics["half_scan_frc"]``.
    uncertainty
        Whether to estimate the standard errors of amplitude and phase too, which takes about five
        times as long: see `ptycho_core.uncertainty`.
    pictures
        Whether pictures are among the files in the output folder.
    report
        Whether a report for people, ``report.html``, is among them.
    tiff
        Whether amplitude and phase are among them as TIFF, see `ptycho_data.tiffs.write_tiffs`.
    unwrap
        Whether pictures and report show the phase without jumps of 2 pi; the object stays as it is.
    resume
        Go on from the checkpoint in the output folder, with the same bits as without the
        interruption; from the beginning where there is none. `epochs` may be larger than before.
    overwrite
        Replace existing results in the output folder, and a checkpoint that does not fit.
    progress
        Show progress and log lines on standard error. A program that has configured `logging`
        gets the lines there.
    serve
        Address of a page that shows the run in a browser: ``8050``, ``HOST:PORT``; see
        `ptycho_core.live_page`.
    callback
        Called with (epoch counted from 1, its R-factor).
    **settings
        Detector and sample: ``near_field``, a Fresnel number of a pixel or ``geometry``, with
        ``source_distance_m`` of a beam that diverges; ``slices``, a number, with
        ``slice_thickness_m``, ``slice_tilt_rad`` and ``slice_coupling``; see
        `ptycho_core.sample_optics`. ``detector_sampling`` for a detector too coarse for the probe,
        see `ptycho_core.solving.wide_probe`. Fly scans: ``exposure_path``, the displacement (x, y)
        of the sample during each exposure in pixels, or ``fly_scan``, the share of the time in
        which the detector counts. Further arguments of `ptycho_physics.solve`, e.g.
        ``momentum``, ``update_probe``, ``refine_positions``, ``refine_backlash``, ``modes``,
        ``tolerance``, ``batch_size``, ``seed``.

    Raises
    ------
    ScanFormatError
        If the file is not a valid scan.
    UnusableScanError
        If no method can reconstruct the scan.
    OutputExistsError
        If the folder holds results, and `overwrite` is not set.
    InvalidValueError
        If all patterns are zero, settings contradict each other or the checkpoint, this machine has
        no such accelerator, there are several scans and none is chosen, or a port is taken.
    DivergenceError
        If the solver diverges.
    SolverInterrupted
        After Ctrl-C or SIGTERM, with the result so far.

    Examples
    --------
    >>> from ptycho_core import SimulationParts, simulate_scan, solve_scan
    >>> scan = simulate_scan(SimulationParts().completed(object_size=96, n_patterns=40))
    >>> result = solve_scan(scan, epochs=5, progress=False)
    >>> result.verdict.r_factor < 0.2
    True
    """
    address = None if serve is None else parse_address(serve)
    where = Devices(accelerator=accelerator, devices=devices, num_nodes=num_nodes)
    where.check()
    first = is_first_process(where.number)
    run = SolverRun(
        scan=scan,
        output=None if output is None else expanded(output),
        reading={
            "domain": domain,
            "probe_file": None if probe_file is None else expanded(probe_file),
        },
        first_probe=first_probe,
        start=None if start is None else located(start),
        scan_index=scan_index,
        settings={"epochs": epochs, **settings},
        auto=auto,
        devices=where,
        max_time=max_time,
        nphotons=nphotons,
        half_scan_frc=half_scan_frc,
        uncertainty=uncertainty,
        pictures=pictures,
        report=report,
        tiff=tiff,
        unwrap=unwrap,
        resume=resume,
        overwrite=overwrite,
        progress=show_progress if progress and first else no_progress,
        callback=callback,
    )
    run.check()
    with (
        log_to_stderr("ptycho_core") if progress and first else nullcontext(),
        live_page(address if first else None) as page,
    ):
        return run.on(page).run()
