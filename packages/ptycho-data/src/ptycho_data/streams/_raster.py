"""Positions on a raster, known from the start."""

from typing import Self

import numpy as np
from attrs import define, field
from ptycho_config.errors import InvalidValueError

from ptycho_data.raw import Names
from ptycho_data.raw import _quantities as quantities
from ptycho_data.raw._motors import on_raster
from ptycho_data.streams._base import End, Event, PositionsCame

__all__ = ["RasterPositions"]


@define(kw_only=True, eq=False)
class RasterPositions:
    """The positions of a raster, numbered from 0, as a source that gives them at once.

    Attributes
    ----------
    came
        The positions.
    """

    came: PositionsCame
    waits: bool = field(default=True, init=False)
    _given: bool = field(default=False, init=False)

    @classmethod
    def of(cls, names: Names) -> Self:
        """Make them of ``raster``, ``step`` and ``snake``.

        Raises
        ------
        InvalidValueError
            The step is missing, or is no length.
        """
        if names.raster is None or names.step is None:
            raise InvalidValueError("step", "given with a raster", "nothing", "give --step 30nm")
        x, y = on_raster(names.raster, quantities.lengths("step", names.step), snake=names.snake)
        return cls(came=PositionsCame(numbers=np.arange(len(x)), x=x, y=y))

    def read(self, seconds: float) -> list[Event]:
        """Return all positions the first time, nothing later."""
        del seconds
        if self._given:
            return []
        self._given = True
        return [self.came, End(what="positions", expected=len(self.came.x))]

    def close(self) -> None:
        """Do nothing."""
