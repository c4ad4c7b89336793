"""Pictures of complex objects, drawn without any global state.

Figures are made with matplotlib's object interface and written by its Agg canvas: no window
system, no pyplot, nothing to close.
"""

from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError
from ptycho_config.install import require_package
from ptycho_config.plain_text import printable, shortened

from ptycho_data._files import atomic_path
from ptycho_data.rulers import Ruler, scale_bar_length
from ptycho_data.views import View

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "Ruler",
    "add_caption",
    "draw",
    "new_figure",
    "object_figure",
    "require_matplotlib",
    "save_figure",
]

#: Small characters that fit side by side into an inch of a caption.
CHARACTERS_PER_INCH = 13
#: Behind what was not measured: a colour that no map contains.
NOT_MEASURED = "#d9d2c5"
CAPTION_COLOUR = "0.35"
#: Intervals between the numbers on an axis, at most.
TICKS = 6

#: Of a picture by itself, in inches: it is shown 400 pixels wide as often as 1000, where text must
#: still be read.
PICTURE_WIDTH, PICTURE_HEIGHT, SMALLEST_WIDTH = 3.7, 7.0, 2.4
#: Left, right, below without caption, above.
MARGINS = (0.85, 1.0, 0.62, 0.4)
BAR_WIDTH = 0.15
CAPTION_LINE, CAPTION_SIZE = 0.165, 8.5


def require_matplotlib() -> None:
    """Check that matplotlib is installed, without importing it.

    Raises
    ------
    MissingPackageError
        It is not; the message has the pip command.
    """
    require_package("matplotlib", "pictures", "ptycho-data[pictures]")


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

    from ptycho_data._shown_figure import ShownFigure

    figure = ShownFigure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def draw(
    axes: "Axes",
    view: View,
    pixel_size_m: float | None = None,
    origin_m: tuple[float, float] | None = None,
    *,
    lengths: bool = False,
    bar_axes: "Axes | None" = None,
) -> None:
    """Draw a view with its colour bar, and a scale bar above it when the pixel size is known.

    Parameters
    ----------
    axes
        Where to draw.
    view
        What to draw.
    pixel_size_m
        Object pixel in metres.
    origin_m
        (x, y) in metres of pixel (0, 0) of the object grid on the stage.
    lengths
        Label the axes with lengths where the pixel size is known; the place on the stage where that
        is known. Otherwise the scale bar must do.
    bar_axes
        Where to draw the colour bar; beside the picture by default.
    """
    low, high = view.limits
    left, right, bottom, top = view.extent
    ruler = Ruler.of((right - left, bottom - top), pixel_size_m, origin_m)
    if pixel_size_m and not lengths:
        ruler = Ruler(unit="pixel")
    x, y = ruler.x, ruler.y
    image = axes.imshow(
        view.image,
        cmap=view.colours,
        vmin=low,
        vmax=high,
        extent=(x(left), x(right), y(bottom), y(top)),
        origin="upper",
    )
    axes.set_facecolor(NOT_MEASURED)
    axes.set_title(view.title, loc="left" if pixel_size_m else "center")
    beside: dict[str, Any] = {"ax": axes, "fraction": 0.046, "pad": 0.03}
    axes.figure.colorbar(image, label=view.label, **({"cax": bar_axes} if bar_axes else beside))
    if view.outline is not None:
        _outline(axes, np.stack([x(view.outline[:, 0]), y(view.outline[:, 1])], axis=-1))
    if pixel_size_m:
        _scale_bar(axes, (right - left) * pixel_size_m)
    if pixel_size_m and not lengths:
        axes.set_xticks([])
        axes.set_yticks([])
    else:
        axes.set_xlabel(f"x / {ruler.unit}{ruler.where}")
        axes.set_ylabel(f"y / {ruler.unit}")
        axes.locator_params(nbins=TICKS)


def _outline(axes: "Axes", corners: NDArray[np.float64]) -> None:
    """Draw the outline of a scan, to be seen on light and on dark; it changes no limits."""
    from matplotlib.patches import Polygon

    for colour, width in (("black", 1.6), ("white", 0.7)):
        polygon = Polygon(corners, closed=True, fill=False, edgecolor=colour, linewidth=width)
        axes.add_artist(polygon)


def add_caption(figure: "Figure", text: str) -> None:
    """Write a small line below a figure, broken where it is wider; none if it is empty."""
    if text:
        figure.supxlabel(
            "\n".join(_caption_lines(figure, text)), fontsize="small", color=CAPTION_COLOUR
        )


def _caption_lines(figure: "Figure", text: str) -> list[str]:
    width = int(CHARACTERS_PER_INCH * figure.get_figwidth())
    # Names of files may hold what no font can draw, and $, which begins a formula.
    return [line.replace("$", r"\$") for line in wrap(shortened(printable(text), 500), width)]


def object_figure(
    view: View,
    pixel_size_m: float | None = None,
    origin_m: tuple[float, float] | None = None,
    *,
    caption: str = "",
) -> "Figure":
    """Draw one view with a caption as a figure to be read at any size, also as a small one.

    Places are computed here: a layout that is found by drawing several times takes three times as
    long.

    Parameters
    ----------
    view, pixel_size_m, origin_m
        As for `draw`.
    caption
        Below the picture, with what was removed from it.
    """
    left, right, bottom, top = view.extent
    ratio = (bottom - top) / (right - left)
    width = min(PICTURE_WIDTH, PICTURE_HEIGHT / ratio)
    height = width * ratio
    across = MARGINS[0] + max(width, SMALLEST_WIDTH) + MARGINS[1]
    figure = new_figure(across, 1)
    figure.set_layout_engine("none")
    text = "; ".join(part for part in (caption, view.note) if part)
    lines = _caption_lines(figure, text) if text else []
    below = MARGINS[2] + CAPTION_LINE * len(lines)
    tall = below + height + MARGINS[3]
    figure.set_figheight(tall)
    start = MARGINS[0] + (max(width, SMALLEST_WIDTH) - width) / 2
    axes = figure.add_axes((start / across, below / tall, width / across, height / tall))
    bar = figure.add_axes(
        ((start + width + 0.1) / across, below / tall, BAR_WIDTH / across, height / tall)
    )
    draw(axes, view, pixel_size_m, origin_m, lengths=True, bar_axes=bar)
    if lines:
        figure.text(
            0.5, 0.06 / tall, "\n".join(lines),
            ha="center", va="bottom", fontsize=CAPTION_SIZE, color=CAPTION_COLOUR,
        )  # fmt: skip
    return figure


def _scale_bar(axes: "Axes", width_m: float) -> None:
    """Draw a bar above the right end of a picture that is `width_m` wide, with its length."""
    from matplotlib.patches import Rectangle

    length, text = scale_bar_length(width_m)
    share = length / width_m
    place: Any = {"transform": axes.transAxes, "clip_on": False}
    axes.add_artist(Rectangle((1 - share, 1.025), share, 0.012, color="0.15", **place))
    axes.annotate(
        text,
        (1 - share, 1.03),
        xycoords="axes fraction",
        xytext=(-4, 0),
        textcoords="offset points",
        ha="right",
        va="center",
        fontsize="small",
        annotation_clip=False,
    )


def save_figure(
    figure: "Figure", path: Path, *, overwrite: bool, dpi: int = 150, tight: bool = True
) -> Path:
    """Write a figure, atomically; the format follows the suffix (PNG where there is none).

    Parameters
    ----------
    figure
        What to write.
    path
        Where to.
    overwrite
        Replace an existing file.
    dpi
        Dots per inch.
    tight
        Cut off empty margins, for which everything is drawn once more.

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
        if tight or kind != "png":
            cut: dict[str, Any] = {"bbox_inches": "tight", "pad_inches": 0.08} if tight else {}
            figure.savefig(temporary, format=kind, dpi=dpi, metadata=stamp, **cut)
        else:  # savefig would draw everything twice, for a layout
            figure.set_dpi(dpi)
            canvas: Any = figure.canvas
            canvas.print_png(temporary, metadata=stamp)
    return path
