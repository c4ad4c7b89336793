"""A matplotlib figure that a notebook shows; imported only where a figure is made."""

import io

from matplotlib.figure import Figure

__all__ = ["ShownFigure"]


class ShownFigure(Figure):
    """A figure that is the last line of a cell is shown.

    Notebooks show plain figures only once ``matplotlib.pyplot`` has been imported.
    """

    def _repr_png_(self) -> bytes:
        """Return the figure as PNG."""
        drawn = io.BytesIO()
        self.savefig(drawn, format="png", bbox_inches="tight")
        return drawn.getvalue()
