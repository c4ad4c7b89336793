"""``ptycho evaluate``: a reconstruction against a reference, in figures and in pictures."""

import json
import math
from pathlib import Path
from typing import Any

import click
import numpy as np
from ptycho_data import write_json
from ptycho_data.figures import View, draw, new_figure, object_views, robust_limits, save_figure
from ptycho_physics.metrics import Comparison

from ptycho_cli.comparison import (
    Box,
    Placed,
    compare_placed,
    metrics_of,
    read_reconstruction,
    read_reference,
)
from ptycho_cli.console import table
from ptycho_cli.half_scan import ring_plot
from ptycho_cli.outputs import output_folder
from ptycho_cli.sections import Command, section

__all__ = ["EVALUATION_FILES", "evaluate", "metrics_table", "save_evaluation", "write_figure"]

PATH = click.Path(path_type=Path)
INPUT = click.Path(path_type=Path, exists=True)
EVALUATION_FILES = ("evaluation.json", "evaluation.png")

#: The figure, in inches: side of a square picture, least and largest side of any, what titles,
#: labels and a colour bar need beside and below it, and the column of curve and table.
PICTURE, SMALLEST_SIDE, LARGEST_SIDE = 2.9, 1.0, 8.0
LABELS = (1.7, 0.75)
SIDE = (4.3, 6.6)
#: Gap before a colour bar and its width, inches.
BAR = (0.09, 0.14)
#: Wanted width of the figure over its height.
PAGE = 1.8
#: Reconstruction, reference and difference of amplitude and of phase.
PANELS = 6


def _number(value: float | None, pattern: str) -> str:
    return "none" if value is None else pattern.format(value)


def _cutoff(ring: dict[str, Any], name: str) -> str:
    where = "at" if ring[f"crossed_{name}"] else "nowhere up to"
    return f"{where} {ring[f'cutoff_{name}']:.3f} cycles/pixel"


def metrics_table(metrics: dict[str, Any]) -> str:
    """Lay out the figures of a comparison for people."""
    ring, region = metrics["frc"], metrics["region"]
    rows = [
        ("complex correlation", f"{metrics['correlation']:.4f}"),
        ("  with the mean removed", f"{metrics['mean_removed_correlation']:.4f}"),
        ("amplitude PSNR", _number(metrics["amplitude_psnr"], "{:.2f} dB")),
        ("amplitude SSIM", f"{metrics['amplitude_ssim']:.4f}"),
        ("phase PSNR", _number(metrics["phase_psnr"], "{:.2f} dB")),
        ("phase SSIM", f"{metrics['phase_ssim']:.4f}"),
        ("FRC falls below 0.5", _cutoff(ring, "half")),
        ("FRC falls below half-bit", _cutoff(ring, "half_bit")),
        ("shift removed (x, y)", "{:.3f}, {:.3f} pixels".format(*metrics["shift"])),
        ("rectangle", "x {}..{}, y {}..{}".format(*region["x"], *region["y"])),
    ]
    if any(metrics["ramp"]):
        rows.append(("ramp removed (x, y)", "{:.5f}, {:.5f} rad/pixel".format(*metrics["ramp"])))
    return table(rows)


def _difference(a: View, b: View, *, circular: bool) -> View:
    """Difference of two views on a symmetric map; phases modulo the circle."""
    values = np.asarray(a.image - b.image)
    if circular:
        values = np.angle(np.exp(1j * values))
    low, high = robust_limits(values)
    reach = max(abs(low), abs(high))
    return View(
        image=np.ma.masked_array(values),
        title=f"{a.title.split(',')[0]}, difference",
        label=a.label,
        limits=(-reach, reach),
        colours="RdBu_r",
        extent=a.extent,
    )


def write_figure(
    comparison: Comparison,
    box: Box,
    path: Path,
    *,
    pixel_size_m: float | None = None,
    overwrite: bool,
) -> None:
    """Draw amplitude and phase of both, their differences and the Fourier ring correlation.

    Parameters
    ----------
    comparison, box
        From :func:`ptycho_cli.comparison.compare_placed`.
    path
        Picture to write.
    pixel_size_m
        Object pixel in metres, for the scale bar.
    overwrite
        Replace an existing picture.
    """
    columns, panel = _layout((box[2] - box[0]) / (box[3] - box[1]))
    rows = PANELS // columns
    widths, height = (columns * panel[0], SIDE[0]), max(rows * panel[1], SIDE[1])
    figure = new_figure(sum(widths), height)
    figure.set_layout_engine("constrained", w_pad=0.12)
    parts: Any = figure.subfigures(1, 2, width_ratios=widths)
    pictures, side = parts
    places = pictures.subplots(rows, columns, squeeze=False)
    # Amplitudes side by side, phases below; or below each other, phases beside them.
    axes = (places.T if columns == 2 else places).reshape(2, 3)
    corner = (float(box[0]), float(box[1]))
    ours = object_views(comparison.aligned, origin=corner, suffix=", reconstruction")
    theirs = object_views(comparison.reference, origin=corner, suffix=", reference")
    for row, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        # Both in the contrast of the reference: a difference in contrast shall be seen.
        same = View(
            image=a.image, title=a.title, label=a.label, limits=b.limits, colours=b.colours,
            extent=a.extent,
        )  # fmt: skip
        difference = _difference(a, b, circular=row == 1)
        for place, view in zip(axes[row], (same, b, difference), strict=True):
            draw(place, view, pixel_size_m)
            _fit_colour_bar(place)
    ring, text = side.subplots(2, 1)
    ring_plot(ring, comparison.frc, pixel_size_m=pixel_size_m)
    text.axis("off")
    text.text(
        -0.1, 0.95, metrics_table(metrics_of(comparison, box)), va="top", family="monospace", size=8
    )
    save_figure(figure, path, overwrite=overwrite)


def _fit_colour_bar(axes: Any) -> None:
    """Put the colour bar of a picture beside it, as tall as the picture.

    Left to itself it is as tall as the frame that the picture is centred in, or shorter.
    """
    from matplotlib.transforms import Bbox

    def beside(bar: Any, _renderer: Any) -> Any:
        bar.set_box_aspect(None)  # the layout has set one
        axes.apply_aspect()
        picture = axes.get_position()
        inch = axes.figure.dpi / axes.figure.bbox.width
        left = picture.x1 + BAR[0] * inch
        return Bbox.from_bounds(left, picture.y0, BAR[1] * inch, picture.height)

    axes.images[0].colorbar.ax.set_axes_locator(beside)


def _layout(aspect: float) -> tuple[int, tuple[float, float]]:
    """Arrange the pictures so that the figure is near to the shape of a page.

    Parameters
    ----------
    aspect
        Width of the object over its height.

    Returns
    -------
    columns
        Of pictures.
    panel
        Width and height of a picture with its labels, inches: a frame of the object's own shape
        leaves nothing blank, and its colour bar has its height.
    """
    width = min(max(PICTURE * math.sqrt(aspect), SMALLEST_SIDE), LARGEST_SIDE)
    height = min(max(width / aspect, SMALLEST_SIDE), LARGEST_SIDE)
    width = min(width, max(height * aspect, SMALLEST_SIDE))
    panel = (width + LABELS[0], height + LABELS[1])

    def unlike_a_page(columns: int) -> float:
        across = columns * panel[0] + SIDE[0]
        down = max(PANELS // columns * panel[1], SIDE[1])
        return abs(math.log(across / down / PAGE))

    return min((1, 2, 3, 6), key=unlike_a_page), panel


def save_evaluation(
    comparison: Comparison,
    box: Box,
    folder: Path,
    *,
    pixel_size_m: float | None = None,
    overwrite: bool,
) -> None:
    """Write ``evaluation.json`` and ``evaluation.png``; parameters as :func:`write_figure`."""
    write_json(folder / EVALUATION_FILES[0], metrics_of(comparison, box), overwrite=overwrite)
    picture = folder / EVALUATION_FILES[1]
    write_figure(comparison, box, picture, pixel_size_m=pixel_size_m, overwrite=overwrite)


@click.command(cls=Command)
@click.argument("recon", type=INPUT)
@click.argument("reference", type=INPUT)
@section("Output")("-o", "--output-dir", "output", type=PATH, help="Folder for figures and JSON.")
@section("Output")("--overwrite", is_flag=True, help="Replace existing results.")
@section("Output")("--json", "as_json", is_flag=True, help="Print JSON.")
@section("Comparison")(
    "--remove-ramp", is_flag=True, help="Remove a linear phase ramp before comparing."
)
def evaluate(
    recon: Path,
    reference: Path,
    output: Path | None,
    overwrite: bool,
    as_json: bool,
    remove_ramp: bool,
) -> None:
    """Compare RECON (a folder or reconstruction.npz) with REFERENCE.

    REFERENCE is a scan with objectGuess or another reconstruction. They are compared over the
    scanned rectangle (the bounding box of the patch centres), after removing a shift and one
    complex factor.
    """
    if output is not None:
        output_folder(output, EVALUATION_FILES, overwrite=overwrite)
    ours: Placed = read_reconstruction(recon)
    comparison, box = compare_placed(ours, read_reference(reference), remove_ramp=remove_ramp)
    metrics = metrics_of(comparison, box)
    if as_json:
        click.echo(json.dumps(metrics, indent=2))
    else:
        click.echo(f"{recon} against {reference}")
        click.echo(metrics_table(metrics))
    if output is not None:
        save_evaluation(
            comparison, box, output, pixel_size_m=ours.pixel_size_m, overwrite=overwrite
        )
