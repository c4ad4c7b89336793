"""Pictures and curves as SVG: sharp at every width, light, and in the colours of the page."""

import math
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from ptycho_data.rulers import Ruler, scale_bar_length
from ptycho_data.views import View

from ptycho_core.report.elements import element
from ptycho_core.report.rasters import colour_of, picture_data

__all__ = ["Frame", "curves", "dots", "moves", "picture"]

#: Width of every drawing, in units of its own: shown 400 pixels wide, its text has 12 of them.
WIDTH = 400
#: Left, right, above and below what is drawn.
LEFT, RIGHT, ABOVE, BELOW = 54, 58, 26, 38
#: Heights of a picture, and of a plot of curves.
HIGHEST, PLOT_HEIGHT = 520, 210
#: Classes of curves in the style of the page, in their order.
CURVES = ("first", "second", "third", "fourth", "fifth", "sixth")
#: Intervals on an axis, about.
TICKS = 5

Floats = NDArray[np.float64]


def ticks(low: float, high: float, most: int = TICKS, *, whole: bool = False) -> list[float]:
    """Round numbers between two, a few of them; whole ones if only these have a meaning."""
    span = high - low
    if not (math.isfinite(span) and span > 0):
        return [low]
    step = span / most
    decade = 10.0 ** math.floor(math.log10(step))
    step = next(decade * factor for factor in (1, 2, 5, 10) if decade * factor >= step * 0.999)
    step = max(step, 1.0) if whole else step
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


def _number(value: float) -> str:
    text = f"{value:.6g}"
    return "0" if float(text) == 0 else text


@frozen(kw_only=True)
class Frame:
    """The frame of a drawing: numbers on its axes and where they lie.

    Attributes
    ----------
    x, y : (float, float)
        Numbers at the left and right end, and at the lower and upper end.
    width, height : float
        Of what is drawn, in units of the drawing.
    labels : (str, str)
        Of the axes.
    counted : bool
        Whether x counts something, such as epochs.
    """

    x: tuple[float, float]
    y: tuple[float, float]
    width: float = WIDTH - LEFT - RIGHT
    height: float = PLOT_HEIGHT
    labels: tuple[str, str] = ("", "")
    counted: bool = False

    def at(self, x: Any, y: Any) -> tuple[Any, Any]:
        """Places in the drawing of some numbers."""
        across = (x - self.x[0]) / ((self.x[1] - self.x[0]) or 1)
        up = (y - self.y[0]) / ((self.y[1] - self.y[0]) or 1)
        return LEFT + across * self.width, ABOVE + (1 - up) * self.height

    def axes(self) -> list[Element]:
        """Draw the box with its numbers and labels."""
        right, bottom = LEFT + self.width, ABOVE + self.height
        parts = [
            element("rect", x=LEFT, y=ABOVE, width=self.width, height=self.height, class_="axis")
        ]
        for value in ticks(min(self.x), max(self.x), whole=self.counted):
            x = round(self.at(value, self.y[0])[0], 1)
            parts.append(element("line", x1=x, x2=x, y1=bottom, y2=bottom + 4, class_="axis"))
            parts.append(_text(_number(value), x, bottom + 16, "middle"))
        for value in ticks(min(self.y), max(self.y)):
            y = round(self.at(self.x[0], value)[1], 1)
            parts.append(element("line", x1=LEFT - 4, x2=LEFT, y1=y, y2=y, class_="axis"))
            parts.append(_text(_number(value), LEFT - 7, y + 4, "end"))
        parts.append(_text(self.labels[0], (LEFT + right) / 2, bottom + 33, "middle"))
        turned = f"rotate(-90 12 {(ABOVE + bottom) / 2:.0f})"
        parts.append(_text(self.labels[1], 12, (ABOVE + bottom) / 2, "middle", transform=turned))
        return parts

    def drawing(self, title: str, *parts: Element, note: str = "", of: str = "") -> Element:
        """Join the parts of a drawing to a figure.

        Parameters
        ----------
        title
            Above it.
        parts
            Elements between frame and title.
        note
            Caption below it.
        of
            What it shows, for those who cannot see it; the title by default.
        """
        tall = ABOVE + self.height + BELOW
        drawn = element(
            "svg",
            *parts,
            *self.axes(),
            _text(title, LEFT, 16, "start", class_="title"),
            viewBox=f"0 0 {WIDTH} {tall:.0f}",
            role="img",
            aria_label=of or title,
        )
        return element("figure", drawn, element("figcaption", note) if note else None)


def _text(text: str, x: float, y: float, anchor: str, **more: object) -> Element:
    return element("text", text, x=f"{x:.1f}", y=f"{y:.1f}", text_anchor=anchor, **more)


def picture(
    view: View,
    pixel_size_m: float | None = None,
    origin_m: tuple[float, float] | None = None,
    *,
    note: str = "",
) -> Element:
    """Draw a view with its axes, colour bar and outline, and a scale bar outside it.

    Parameters
    ----------
    view
        What to draw.
    pixel_size_m, origin_m
        Pixel of the object in metres, and place of its grid on the stage; None if unknown.
    note
        Added to the caption.
    """
    left, right, bottom, top = view.extent
    ruler = Ruler.of((right - left, bottom - top), pixel_size_m, origin_m)
    width = min(WIDTH - LEFT - RIGHT, HIGHEST * (right - left) / (bottom - top))
    frame = Frame(
        x=(ruler.x(left), ruler.x(right)),
        y=(ruler.y(bottom), ruler.y(top)),
        width=width,
        height=width * (bottom - top) / (right - left),
        labels=(f"x / {ruler.unit}{ruler.where}", f"y / {ruler.unit}"),
    )
    parts = [_image(view.image, view.limits, view.colours, frame)]
    if view.outline is not None:
        corners = frame.at(ruler.x(view.outline[:, 0]), ruler.y(view.outline[:, 1]))
        points = _points(*corners)
        for colour, thickness in (("#000", 2.2), ("#fff", 1)):
            parts.append(
                element("polygon", points=points, fill="none", stroke=colour,
                        stroke_width=thickness)
            )  # fmt: skip
    parts += _colour_bar(view.limits, view.colours, view.label, frame)
    if pixel_size_m:
        parts += _scale_bar((right - left) * pixel_size_m, frame)
    caption = "; ".join(part for part in (note, view.note) if part)
    return frame.drawing(view.title, *parts, note=caption)


def _image(values: Any, limits: tuple[float, float], colours: str, frame: Frame) -> Element:
    return element(
        "image",
        x=LEFT,
        y=ABOVE,
        width=f"{frame.width:.1f}",
        height=f"{frame.height:.1f}",
        preserveAspectRatio="none",
        class_="small" if max(values.shape) < 2 * WIDTH else None,
        href=picture_data(values, limits, colours),
    )


def _colour_bar(
    limits: tuple[float, float], colours: str, label: str, frame: Frame
) -> list[Element]:
    start, low, high = LEFT + frame.width + 8, *limits
    column = np.linspace(high, low, 128)[:, None]
    parts = [
        element(
            "image", x=start, y=ABOVE, width=9, height=f"{frame.height:.1f}",
            preserveAspectRatio="none", href=picture_data(column, limits, colours),
        )
    ]  # fmt: skip
    for value in ticks(low, high):
        y = ABOVE + frame.height * (high - value) / (high - low)
        parts.append(_text(f"{value:.4g}", start + 12, y + 4, "start"))
    parts.append(_text(label, WIDTH - 2, ABOVE + frame.height + 33, "end"))
    return parts


def _scale_bar(width_m: float, frame: Frame) -> list[Element]:
    length, text = scale_bar_length(width_m)
    width = frame.width * length / width_m
    end = LEFT + frame.width
    return [
        element("rect", x=f"{end - width:.1f}", y=ABOVE - 12, width=f"{width:.1f}", height=4,
                class_="bar"),
        _text(text, end - width - 6, ABOVE - 6, "end"),
    ]  # fmt: skip


def _points(x: Any, y: Any) -> str:
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))


def curves(
    title: str,
    lines: Mapping[str, tuple[Sequence[float] | Floats, Sequence[float] | Floats]],
    labels: tuple[str, str],
    *,
    note: str = "",
) -> Element | None:
    """Draw curves by their names, the first one strongest; None if nothing of them is finite.

    Parameters
    ----------
    title, note
        Above and below it.
    lines
        Numbers on both axes.
    labels
        Of the axes.
    """
    shown = {}
    for name, (x, y) in lines.items():
        pair = np.array([x, y], np.float64)
        pair = pair[:, np.isfinite(pair).all(axis=0)]
        if pair.size:
            shown[name] = pair[:, :: max(1, pair.shape[1] // 2000)]
    if not shown:
        return None
    low, high = (np.array([f(p, axis=1) for p in shown.values()]) for f in (np.min, np.max))
    (left, bottom), (right, top) = low.min(axis=0), high.max(axis=0)
    room = 0.05 * (top - bottom) or 0.05 * abs(top) or 1.0
    side = 0.0 if right > left else 0.5
    frame = Frame(
        x=(left - side, right + side), y=(bottom - room, top + room),
        width=WIDTH - LEFT - 16, labels=labels,
        counted=all((x == np.rint(x)).all() for x, _ in shown.values()),
    )  # fmt: skip
    parts = []
    for number, (name, (x, y)) in enumerate(shown.items()):
        kind = f"curve {CURVES[min(number, len(CURVES) - 1)]}"
        places = frame.at(x, y)
        parts.append(element("polyline", points=_points(*places), class_=kind))
        if len(x) == 1:
            parts.append(element("circle", cx=places[0][0], cy=places[1][0], r=2, class_=kind))
        if len(shown) > 1:
            down = ABOVE + 14 + 15 * number
            end = LEFT + frame.width - 8
            parts.append(
                element("line", x1=end - 16, x2=end, y1=down - 4, y2=down - 4, class_=kind)
            )
            parts.append(_text(name, end - 20, down, "end"))
    return frame.drawing(title, *parts, note=note)


def _map_frame(positions: Floats, ruler: Ruler) -> Frame:
    """Frame around positions (k, 2) in object pixels, with equal scales on both axes."""
    low, high = positions.min(axis=0), positions.max(axis=0)
    room = 0.04 * float((high - low).max()) or 1.0
    (left, top), (right, bottom) = low - room, high + room
    width = min(WIDTH - LEFT - RIGHT, HIGHEST * (right - left) / (bottom - top))
    return Frame(
        x=(ruler.x(left), ruler.x(right)),
        y=(ruler.y(bottom), ruler.y(top)),
        width=width,
        height=width * (bottom - top) / (right - left),
        labels=(f"x / {ruler.unit}{ruler.where}", f"y / {ruler.unit}"),
    )


def dots(
    title: str,
    positions: Floats,
    values: Floats,
    label: str,
    limits: tuple[float, float],
    *,
    pixel_size_m: float | None = None,
    origin_m: tuple[float, float] | None = None,
    note: str = "",
) -> Element:
    """Draw a dot at each position (k, 2) in object pixels, with the colour of its value (k,)."""
    ruler = Ruler.of(tuple(np.ptp(positions, axis=0)), pixel_size_m, origin_m)
    frame = _map_frame(positions, ruler)
    radius = min(6.0, max(1.2, 0.5 * math.sqrt(frame.width * frame.height / len(positions))))
    x, y = frame.at(ruler.x(positions[:, 0]), ruler.y(positions[:, 1]))
    colours = colour_of(values, limits, "viridis")
    drawn = [
        element("circle", cx=f"{a:.1f}", cy=f"{b:.1f}", r=f"{radius:.1f}", fill=colour)
        for a, b, colour in zip(x, y, colours, strict=True)
    ]
    return frame.drawing(title, *drawn, *_colour_bar(limits, "viridis", label, frame), note=note)


def moves(
    title: str,
    positions: Floats,
    shifts: Floats,
    enlarged: float,
    *,
    pixel_size_m: float | None = None,
    origin_m: tuple[float, float] | None = None,
    note: str = "",
) -> Element:
    """Draw how positions (k, 2) in object pixels moved, by `enlarged` times their `shifts`."""
    ruler = Ruler.of(tuple(np.ptp(positions, axis=0)), pixel_size_m, origin_m)
    frame = _map_frame(positions, ruler)
    ends = positions + enlarged * shifts
    places = (frame.at(ruler.x(p[:, 0]), ruler.y(p[:, 1])) for p in (positions, ends))
    drawn = []
    for x1, y1, x2, y2 in np.concatenate([np.stack(p, axis=1) for p in places], axis=1):
        drawn.append(element("circle", cx=f"{x1:.1f}", cy=f"{y1:.1f}", r=1.2, class_="place"))
        drawn.append(
            element("line", x1=f"{x1:.1f}", y1=f"{y1:.1f}", x2=f"{x2:.1f}", y2=f"{y2:.1f}",
                    class_="move")
        )  # fmt: skip
    return frame.drawing(title, *drawn, note=note)
