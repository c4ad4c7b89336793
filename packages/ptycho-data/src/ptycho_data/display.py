"""How objects with arrays show themselves: as a line of text, and in a notebook as a table."""

import io
from base64 import b64encode
from html import escape
from typing import TYPE_CHECKING

from ptycho_config.plain_text import printable, shortened

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Displayed"]

#: Dots per inch of the picture in a notebook, the first that gives few enough bytes.
RESOLUTIONS = (72, 50, 36)
#: Bytes of a picture that a notebook may hold.
PICTURE_BYTES = 60_000
#: Colours of a small picture.
COLOURS = 128


class Displayed:
    """Base of classes that hold arrays: a short ``repr``, and a picture and a table in a notebook.

    A subclass lists its facts in `_facts`. If it has a method ``plot``, which returns a matplotlib
    figure, the notebook shows it small. Neither raises an error: an object whose file is gone must
    still be shown.
    """

    __slots__ = ()

    def _facts(self) -> dict[str, str]:
        """Return what there is to say, by its name, without reading large arrays."""
        raise NotImplementedError

    def _shown_facts(self) -> dict[str, str]:
        try:
            facts = self._facts()
        except Exception as error:  # of a file that is gone, say
            facts = {"cannot be described": f"{type(error).__name__}: {error}"}
        return {name: shortened(printable(text)) for name, text in facts.items() if text}

    def __repr__(self) -> str:
        """Return the facts in one line."""
        facts = ", ".join(f"{name} {text}" for name, text in self._shown_facts().items())
        return f"<{type(self).__name__}: {facts}>"

    def _repr_html_(self) -> str:
        """Return picture and table for a notebook."""
        rows = "".join(
            f'<tr><th style="text-align:left">{escape(name)}</th>'
            f'<td style="text-align:left">{escape(text)}</td></tr>'
            for name, text in self._shown_facts().items()
        )
        title = f"<strong>{escape(type(self).__name__)}</strong>"
        return f"<div>{title}{self._picture()}<table>{rows}</table></div>"

    def _picture(self) -> str:
        """Return what `plot` draws as an HTML element; nothing where it cannot."""
        plot = getattr(self, "plot", None)
        if plot is None:
            return ""
        try:
            data = _small_png(plot())
        except Exception:  # matplotlib is missing, say: the table is there
            return ""
        text = b64encode(data).decode("ascii")
        return f'<br><img alt="" src="data:image/png;base64,{text}">'


def _small_png(figure: "Figure") -> bytes:
    """Return a figure as a PNG of at most `PICTURE_BYTES`, if the lowest resolution gives that."""
    from PIL import Image  # matplotlib brings it

    data = b""
    for dpi in RESOLUTIONS:
        drawn, small = io.BytesIO(), io.BytesIO()
        figure.savefig(drawn, format="png", dpi=dpi)
        Image.open(drawn).convert("RGB").quantize(COLOURS).save(small, "PNG", optimize=True)
        data = small.getvalue()
        if len(data) <= PICTURE_BYTES:
            break
    return data
