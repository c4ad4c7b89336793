"""Write the results of a reconstruction and the record of its run, whichever method made it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ptycho_data import Reconstruction, Scan, write_json, write_results
from ptycho_data.tiffs import write_tiffs
from ptycho_data.views import ScannedArea

from ptycho_core.analysis.half_scans import HalfScanFRC, write_curve
from ptycho_core.analysis.verdict import file_name, picture_caption
from ptycho_core.fitted import Fitted
from ptycho_core.outputs import REPORT_FILE
from ptycho_core.record import RUN_FILE, Stopwatch
from ptycho_core.sparing import sparing_results
from ptycho_core.uncertainty.estimate import write_uncertainty

__all__ = ["write_result_folder"]


def write_result_folder(
    folder: Path,
    rec: Reconstruction,
    scan: Scan,
    *,
    method: str,
    metrics: Mapping[str, Any],
    record: Mapping[str, Any],
    curve: HalfScanFRC | None,
    pictures: bool,
    report: bool = True,
    tiff: bool = False,
    unwrap: bool = False,
    overwrite: bool,
    clock: Stopwatch,
    fitted: Fitted = Fitted(),  # noqa: B008 - it is frozen
) -> None:
    """Write object, metrics, pictures and record, which appear together.

    Parameters
    ----------
    folder
        See `ptycho_core.outputs.check_result_folder`.
    rec : Reconstruction
        With its part of the record, see `ptycho_core.record.with_run`.
    scan : Scan
        For the caption of the pictures.
    method
        What made the reconstruction, for the caption.
    metrics
        Content of ``metrics.json``.
    record
        Content of ``run.json``; the timings in it are replaced by those at the end.
    curve
        The half-scan FRC; None draws none.
    pictures
        Whether pictures are among the files.
    report
        Whether a report is among them, with pictures if there are any.
    tiff
        Whether amplitude and phase are among them as TIFF.
    unwrap
        Whether pictures and report show the phase without jumps of 2 pi.
    overwrite
        Replace results.
    clock
        Timings of the run.
    fitted
        What was fitted of each pattern; it may have a file of its own.
    """

    def also(staged: Path) -> None:
        fitted.save(staged)
        if pictures:
            write_curve(curve, staged)
            write_uncertainty(rec, metrics.get("uncertainty"), staged)
        if tiff:
            write_tiffs(staged, rec)
        if report:
            with clock.stage("report"), sparing_results("no report"):
                from ptycho_core.report.reconstruction import reconstruction_report

                text = reconstruction_report(
                    rec,
                    scan,
                    metrics=metrics,
                    record={**record, "timings_s": clock.rounded()},
                    method=method,
                    curve=curve,
                    pictures=pictures,
                    unwrap=unwrap,
                    output=folder.name,
                    fitted=fitted,
                )
                (staged / REPORT_FILE).write_bytes(text)
        write_json(staged / RUN_FILE, {**record, "timings_s": clock.rounded()})

    write_results(
        folder,
        rec,
        metrics=metrics,
        caption=picture_caption(
            file_name(scan), metrics, len(rec.indices), method, rec.pixel_size_m
        ),
        area=ScannedArea.of(scan.positions, scan.N),
        pictures=pictures,
        unwrap=unwrap,
        overwrite=overwrite,
        stage=clock.stage,
        also=also,
    )
