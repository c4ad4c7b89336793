"""Pictures of complex objects: robust contrast, honest masks, no global state.

Figures are made with matplotlib's object interface and written by its Agg canvas: no window
system, no pyplot, nothing to close.
"""

import math
from importlib.util import find_spec
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError, MissingPackageError
from ptycho_config.install import SOURCE, install_command
from ptycho_config.plain_text import printable, shortened

from ptycho_data._files import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "View",
    "add_caption",
    "draw",
    "new_figure",
    "object_views",
    "require_matplotlib",
    "robust_limits",
    "save_figure",
]

#: Percentiles of the covered region that the colours span.
PERCENTILES = (0.5, 99.5)
#: A phase that fills more than this part of the circle is shown on a cyclic map.
CYCLIC_SPAN = 0.85 * 2 * math.pi
#: Pixels with less than this part of the largest coverage were not really measured.
COVERED = 0.02
#: Objects with longer sides are shown by averages over blocks of pixels: a picture has no more
#: pixels than that, and drawing takes some hundred bytes for each.
LONGEST_SIDE = 1200

#: Small characters that fit side by side into an inch of a caption.
CHARACTERS_PER_INCH = 13

AnyArray = NDArray[Any]


@frozen(kw_only=True, eq=False)
class View:
    """One picture, ready to be drawn.

    Attributes
    ----------
    image : (H, W) masked float array
        Masked where nothing was measured.
    title, label
        Above the picture; beside its colour bar.
    limits
        Values at the ends of the colour bar.
    colours
        Name of a matplotlib colour map.
    extent
        Left, right, bottom, top in object pixels.
    """

    image: "np.ma.MaskedArray[Any, Any]"
    title: str
    label: str
    limits: tuple[float, float]
    colours: str
    extent: tuple[float, float, float, float]


def robust_limits(values: AnyArray) -> tuple[float, float]:
    """Colour limits that a few outliers do not move.

    Parameters
    ----------
    values : float array
        Non-finite values are ignored.

    Returns
    -------
    (float, float)
        Percentiles 0.5 and 99.5, widened to 1 % of the value (or 0.01) where an image is flat.
    """
    finite = np.asarray(values)[np.isfinite(values)]
    if finite.size == 0:
        return 0.0, 1.0
    low, high = (float(value) for value in np.percentile(finite, PERCENTILES))
    width = max(0.01 * abs(high), 1e-2)
    if high - low < width:
        centre = (low + high) / 2
        return centre - width / 2, centre + width / 2
    return low, high


def covered_region(coverage: AnyArray) -> AnyArray:
    """Where the coverage is worth looking at: bool, shape of ``coverage``."""
    return np.asarray(coverage > COVERED * float(coverage.max(initial=0.0)))


def _box(mask: AnyArray) -> tuple[slice, slice]:
    """Smallest rows and columns that hold every True pixel; everything for an empty mask."""
    if not mask.any():
        return slice(0, mask.shape[0]), slice(0, mask.shape[1])
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _centred_phase(values: AnyArray, mask: AnyArray) -> AnyArray:
    """Phase in radians with the mean direction of the covered region at zero."""
    direction = np.sum(values[mask]) if mask.any() else 1.0
    return np.asarray(np.angle(values * np.exp(-1j * np.angle(direction))))


def _averaged(values: AnyArray, mask: AnyArray, side: int) -> tuple[AnyArray, AnyArray, AnyArray]:
    """Average blocks of ``side`` x ``side`` pixels, those of the mask alone.

    Returns amplitude, complex values and mask of the blocks; the last ones may be incomplete. Phase
    goes round in circles, so it is the complex values that are averaged for it; their amplitude
    would suffer where the phase is steep. Few rows are worked on at a time.
    """
    if side == 1:
        return np.abs(values), values, mask
    starts = np.arange(0, values.shape[1], side)
    amplitude, field, share = [], [], []
    for row in range(0, len(values), side):
        seen = mask[row : row + side]
        part = np.where(seen, values[row : row + side], 0)
        count = np.add.reduceat(seen.sum(axis=0), starts)
        divisor = np.maximum(count, 1)
        amplitude.append(np.add.reduceat(np.abs(part).sum(axis=0), starts) / divisor)
        field.append(np.add.reduceat(part.sum(axis=0), starts) / divisor)
        share.append(count / side**2)
    majority = 2 * np.array(share) >= 1
    return np.array(amplitude, np.float32), np.array(field, np.complex64), majority


def object_views(
    values: AnyArray,
    coverage: AnyArray | None = None,
    origin: tuple[float, float] = (0, 0),
    suffix: str = "",
) -> tuple[View, View]:
    """Amplitude and phase of an object as views, cropped to what is covered.

    Parameters
    ----------
    values : (H, W) complex array
        The object; one with more pixels than a picture shows is averaged over blocks of them.
    coverage : (H, W) float array, optional
        Weight sum; pixels with less than 2 % of the largest one are masked.
    origin
        Object-grid pixel ``(x, y)`` of ``values[0, 0]``.
    suffix
        Added to the titles.

    Returns
    -------
    (View, View)
        Amplitude on grey; phase, its mean direction at zero, on a perceptual map, or on a cyclic
        one where it goes round the circle.
    """
    mask = np.ones(values.shape, bool) if coverage is None else covered_region(coverage)
    rows, columns = _box(mask)
    left, top = origin[0] + columns.start - 0.5, origin[1] + rows.start - 0.5
    side = -(-max(rows.stop - rows.start, columns.stop - columns.start) // LONGEST_SIDE)
    amplitude, field, mask = _averaged(values[rows, columns], mask[rows, columns], side)
    extent = (left, left + side * mask.shape[1], top + side * mask.shape[0], top)
    phase = _centred_phase(field, mask)
    limits = robust_limits(phase[mask])
    cyclic = limits[1] - limits[0] > CYCLIC_SPAN
    return (
        View(
            image=np.ma.masked_array(amplitude, ~mask),
            title=f"Amplitude{suffix}",
            label="amplitude",
            limits=robust_limits(amplitude[mask]),
            colours="gray",
            extent=extent,
        ),
        View(
            image=np.ma.masked_array(phase, ~mask),
            title=f"Phase{suffix}",
            label="phase / rad",
            limits=(-math.pi, math.pi) if cyclic else limits,
            colours="twilight_shifted" if cyclic else "viridis",
            extent=extent,
        ),
    )


def require_matplotlib() -> None:
    """Check that matplotlib is installed, without importing it.

    Raises
    ------
    MissingPackageError
        It is not; the message has the pip command.
    """
    if find_spec("matplotlib") is None:
        raise MissingPackageError(
            f"pictures need the package matplotlib; install it {SOURCE}: "
            + install_command("ptycho-data[pictures]")
        )


def new_figure(width: float, height: float) -> "Figure":
    """Return an empty figure of this size in inches, on the Agg canvas.

    Raises
    ------
    MissingPackageError
        matplotlib is not installed.
    """
    require_matplotlib()
    # late: a scan is read, checked and grouped without it
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def draw(axes: "Axes", view: View, pixel_size_m: float | None = None) -> None:
    """Draw a view with its colour bar, and a scale bar when the pixel size is known.

    Parameters
    ----------
    axes
        Where to draw.
    view
        What to draw.
    pixel_size_m
        Object pixel in metres.
    """
    low, high = view.limits
    image = axes.imshow(
        view.image, cmap=view.colours, vmin=low, vmax=high, extent=view.extent, origin="upper"
    )
    axes.set_facecolor("#d9d2c5")  # what was not measured: a colour that no map here contains
    axes.set_title(view.title)
    axes.figure.colorbar(image, ax=axes, label=view.label, fraction=0.046, pad=0.03)
    if pixel_size_m:
        axes.set_xticks([])
        axes.set_yticks([])
        _scale_bar(axes, view, pixel_size_m)
    else:
        axes.set_xlabel("x / pixel")
        axes.set_ylabel("y / pixel")


def add_caption(figure: "Figure", text: str) -> None:
    """Write a small line below a figure, broken where it is wider; none if it is empty."""
    if text:
        width = int(CHARACTERS_PER_INCH * figure.get_figwidth())
        # Names of files may hold what no font can draw, and $, which begins a formula.
        lines = "\n".join(wrap(shortened(printable(text)), width)).replace("$", r"\$")
        figure.supxlabel(lines, fontsize="small", color="0.35")


def scale_bar_length(width_m: float) -> tuple[float, str]:
    """Round length of about a quarter of ``width_m`` metres, and its text."""
    target = width_m / 4
    decade = 10.0 ** math.floor(math.log10(target))
    length = max(step * decade for step in (1, 2, 5) if step * decade <= target * (1 + 1e-9))
    for unit, size in (("mm", 1e-3), ("µm", 1e-6), ("nm", 1e-9), ("pm", 1e-12)):
        if length >= size * (1 - 1e-9):
            return length, f"{length / size:.0f} {unit}"
    return length, f"{length:.0e} m"


def _scale_bar(axes: "Axes", view: View, pixel_size_m: float) -> None:
    from matplotlib.patches import Rectangle

    left, right, bottom, top = view.extent
    length, text = scale_bar_length((right - left) * pixel_size_m)
    width = length / pixel_size_m
    margin, height = 0.04 * (right - left), 0.012 * (bottom - top)
    corner = (left + margin, bottom - margin - height)
    axes.add_patch(
        Rectangle(corner, width, height, facecolor="white", edgecolor="black", linewidth=0.8)
    )
    axes.annotate(
        text,
        (corner[0] + width / 2, corner[1]),
        xytext=(0, 3),
        textcoords="offset points",
        ha="center",
        va="bottom",
        fontsize="small",
        bbox={"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 1.0},
    )


def save_figure(figure: "Figure", path: Path, *, overwrite: bool) -> Path:
    """Write a figure, atomically; the format follows the suffix (PNG where there is none).

    Raises
    ------
    InvalidValueError
        The suffix names no format that matplotlib writes.
    OutputExistsError, OSError
        As :func:`ptycho_data.atomic_path`.
    """
    kind = path.suffix.lstrip(".").lower() or "png"
    known = figure.canvas.get_supported_filetypes()
    if kind not in known:
        raise InvalidValueError(f"{path}", f"a picture of type {', '.join(known)}", repr(kind))
    with atomic_path(path, overwrite=overwrite) as temporary:
        # PDF and SVG carry the time by default; equal content must give equal bytes.
        stamp = {"Software": None} if kind == "png" else None
        figure.savefig(
            temporary, format=kind, dpi=150, metadata=stamp, bbox_inches="tight", pad_inches=0.08
        )
    return path
