"""Numbers and tables as text."""

from collections.abc import Iterable, Sequence

from ptycho_config.plain_text import printable, shortened

__all__ = ["counted", "format_number", "table"]


def format_number(value: float, digits: int = 3) -> str:
    """Round a number to significant digits and write it without an exponent below a million.

    Examples
    --------
    >>> format_number(1234.5)
    '1230'
    """
    return f"{float(f'{value:.{digits}g}'):g}"


def counted(number: int, noun: str) -> str:
    """Write a number of things: ``1 scan``, ``2 scans``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def table(rows: Iterable[Sequence[str]], indent: int = 2) -> str:
    """Align rows of text in columns; names from files are shown escaped, long ones shortened.

    Parameters
    ----------
    rows
        Rows of equal length.
    indent
        Spaces before each line.
    """
    lines = [tuple(shortened(printable(cell)) for cell in row) for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    pad = " " * indent
    return "\n".join(
        pad
        + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
