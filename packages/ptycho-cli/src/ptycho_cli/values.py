"""Types of option values: whole numbers, numbers and paths, each with its bounds where declared.

click's own types accept NaN and infinity for numbers, ``1_0`` for 10, integers of any size, and the
empty text, which is the working directory, for a path.
"""

from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem
from ptycho_config.options import (
    LARGEST_INTEGER,
    LARGEST_NUMBER,
    SEED_LIMIT,
    SMALLEST_NUMBER,
    parse_number,
)

__all__ = [
    "ABOVE_ZERO",
    "INPUT",
    "MODEL",
    "MODEL_OR_INPUT",
    "OUTPUT_FILE",
    "PATH",
    "SCAN",
    "SEED",
    "ModelValue",
    "Number",
    "PathValue",
    "ScanValue",
    "Whole",
]


class Whole(click.IntRange):
    """Whole number from `minimum` to `maximum`, both included; by default, of 32 bits."""

    def __init__(self, minimum: int | None = None, maximum: int | None = None) -> None:
        super().__init__(min=minimum, max=maximum)

    def _describe_range(self) -> str:
        """Write the range for the help; click itself writes ``x<=None`` where there is none."""
        return "" if self.min is None and self.max is None else super()._describe_range()

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Convert decimal digits.

        Raises
        ------
        click.BadParameter
            The text is something else, or the number is outside the bounds.
        """
        number = int(super().convert(_parsed(self, int, value, param, ctx), param, ctx))
        if self.max is None and number > LARGEST_INTEGER:
            self.fail(f"{number} is too large, it must be <= {LARGEST_INTEGER}.", param, ctx)
        if self.min is None and number < -LARGEST_INTEGER:
            self.fail(f"{number} is too small, it must be >= {-LARGEST_INTEGER}.", param, ctx)
        return number


class Number(click.FloatRange):
    """Finite number within bounds; by default, those that single precision can hold.

    Parameters
    ----------
    minimum, maximum
        Bounds, both included.
    above, below
        Bounds that are not included, in their place.
    """

    def __init__(
        self,
        minimum: float | None = None,
        maximum: float | None = None,
        *,
        above: float | None = None,
        below: float | None = None,
    ) -> None:
        super().__init__(
            min=minimum if above is None else above,
            max=maximum if below is None else below,
            min_open=above is not None,
            max_open=below is not None,
        )

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Convert a decimal number.

        Raises
        ------
        click.BadParameter
            The text is something else, or the number is outside the bounds.
        """
        number = float(super().convert(_parsed(self, float, value, param, ctx), param, ctx))
        if not abs(number) <= LARGEST_NUMBER:
            self.fail(f"{value} is too large, it must be <= {LARGEST_NUMBER:g}.", param, ctx)
        if self.min_open and number < SMALLEST_NUMBER:
            self.fail(f"{value} is too small, it must be >= {SMALLEST_NUMBER:g}.", param, ctx)
        return number


def _parsed(
    kind: click.IntRange | click.FloatRange,
    type_: type,
    value: Any,
    param: click.Parameter | None,
    ctx: click.Context | None,
) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return parse_number(type_, value)
    except ValueError as error:
        return kind.fail(str(error), param, ctx)


class PathValue(click.Path):
    """Path that is not empty; with `exists`, that of a file or folder that is there."""

    def __init__(self, *, exists: bool = False, dir_okay: bool = True) -> None:
        super().__init__(path_type=Path, exists=exists, dir_okay=dir_okay)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Convert to a path.

        Raises
        ------
        click.BadParameter
            The text is empty or no path, or what it names is missing or of the wrong kind.
        """
        if isinstance(value, str) and (not value or "\0" in value):
            self.fail(f"a path expected, found {value!r}.", param, ctx)
        return super().convert(value, param, ctx)


class ModelValue(PathValue):
    """Path of a trained model that is there, or the name of an installed one.

    Parameters
    ----------
    others
        Whether a path may also be that of something else, or a pattern of paths, which the command
        tells apart.
    """

    name = "path or name"

    def __init__(self, *, others: bool = False) -> None:
        super().__init__(exists=True)
        self.others = others

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Convert to the path of the model.

        Raises
        ------
        click.BadParameter
            The text is empty or no path, or there is neither such a file nor such a model.
        """
        if not isinstance(value, str) or not value or "\0" in value:
            return super().convert(value, param, ctx)
        from ptycho_core.pretrained import UNIVERSAL, find_model, located, model_names

        if value == UNIVERSAL and value not in model_names() and not Path(value).exists():
            find_model(value)  # says how to install it
        if self.others and not Path(value).exists():
            from ptycho_core.batch.jobs import is_glob

            if is_glob(value):
                return Path(value)
        return super().convert(str(located(value)), param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Complete names of installed models, and files."""
        from ptycho_core.pretrained import model_names

        names = [CompletionItem(name) for name in model_names() if name.startswith(incomplete)]
        return [*names, *super().shell_complete(ctx, param, incomplete)]


class ScanValue(PathValue):
    """Path that is there, or a pattern such as ``scans/*.npz``, which the command expands."""

    name = "path or pattern"

    def __init__(self) -> None:
        super().__init__(exists=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Convert to a path.

        Raises
        ------
        click.BadParameter
            The text is empty or no path, or names neither a file nor a pattern.
        """
        from ptycho_core.batch.jobs import is_glob  # imports HDF5, which `ptycho --help` need not

        if isinstance(value, str) and "\0" not in value and is_glob(value):
            return Path(value)
        return super().convert(value, param, ctx)


INPUT = PathValue(exists=True)
MODEL = ModelValue()
MODEL_OR_INPUT = ModelValue(others=True)
SCAN = ScanValue()
PATH = PathValue()
OUTPUT_FILE = PathValue(dir_okay=False)
ABOVE_ZERO = Number(above=0)
SEED = Whole(0, SEED_LIMIT)
