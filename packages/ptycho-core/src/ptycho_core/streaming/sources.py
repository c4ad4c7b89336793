"""Open the sources of a stream: frames, positions, and a raster that needs no source."""

from collections.abc import Sequence

from attrs import frozen
from ptycho_config.errors import InvalidValueError, describe
from ptycho_data.streams import RasterPositions, Source, find_source, split_address

from ptycho_core.preparing.recipe import Recipe

__all__ = ["StreamAddress"]


@frozen(kw_only=True)
class StreamAddress:
    """Where frames and positions come from, as people write it.

    Attributes
    ----------
    source
        ``KIND:ADDRESS`` of the frames.
    positions
        ``KIND:ADDRESS`` of the positions; None where the source of the frames has them, or the
        recipe a raster.
    """

    source: str
    positions: str | None = None

    @property
    def kinds(self) -> dict[str, str]:
        """Kinds of the sources, without their addresses: these name machines."""
        found = {"frames": self.source, "positions": self.positions}
        return {name: text.partition(":")[0] for name, text in found.items() if text}

    def open(self, recipe: Recipe) -> Sequence[Source]:
        """Open the sources; their other ends need not be there yet.

        Raises
        ------
        InvalidValueError
            There is no such kind, it has no frames or positions, or no positions are named.
        MissingPackageError
            A package that the kind needs is not installed.
        """
        names = recipe.names()
        kind, address = split_address("--source", self.source)
        frames = find_source("--source", kind)
        if frames.frames is None:
            rule, advice = "of a kind that has frames", f"{kind} has positions: give --positions"
            raise InvalidValueError("--source", rule, describe(self.source), advice)
        opened: list[Source] = [frames.frames(address, names)]
        try:
            if names.raster is not None:
                opened.append(RasterPositions.of(names))
            elif self.positions is not None:
                kind, address = split_address("--positions", self.positions)
                places = find_source("--positions", kind)
                if places.positions is None:
                    rule = "of a kind that has positions"
                    raise InvalidValueError("--positions", rule, describe(self.positions))
                opened.append(places.positions(address, names))
            elif kind == "hdf5" and frames.positions is not None:
                opened.append(frames.positions(address.partition("#")[0], names))
            elif not getattr(opened[0], "has_positions", False):
                rule = "given for a source that has frames alone"
                advice = "give --positions KIND:ADDRESS, or --raster and --step"
                raise InvalidValueError("--positions", rule, "nothing", advice)
        except BaseException:
            for one in opened:
                one.close()
            raise
        return opened
