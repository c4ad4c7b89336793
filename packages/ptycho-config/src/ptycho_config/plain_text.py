"""Text of unknown origin for people: names in files, file names, settings, foreign messages.

Such text may hold line breaks that forge messages, sequences that control a terminal, and marks
that reverse the direction of writing. `printable` shows all of these as escapes.
"""

import unicodedata
from typing import Any

NAME_LENGTH = 300
"""Longest name or value in a message; the middle of a longer one is left out."""


def printable(text: str) -> str:
    r"""Write text on one line of characters that are what they look like.

    Parameters
    ----------
    text : str
        Any text. Control characters, line breaks, marks of writing direction and other invisible
        characters, and halves of surrogate pairs are written as Python escapes them.

    Examples
    --------
    >>> print(printable("probe\nno violation\x1b[2J"))
    probe\nno violation\x1b[2J
    """
    if text.isprintable():
        return text
    return "".join(character if _is_seen(character) else _escape(character) for character in text)


def _is_seen(character: str) -> bool:
    return character.isprintable() or unicodedata.category(character) == "Zs"  # wide spaces


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def printable_lines(text: str) -> str:
    """Write text of several lines in such characters; only its line feeds are kept."""
    return "\n".join(printable(line) for line in text.split("\n"))


def shortened(text: str, length: int = NAME_LENGTH) -> str:
    """Leave out the middle of text that is longer than `length`.

    Examples
    --------
    >>> shortened("a" * 10 + "z" * 10, 9)
    'aaa...zzz'
    """
    if len(text) <= length:
        return text
    half = (length - 3) // 2
    return f"{text[:half]}...{text[-half:]}"


def array_text(values: Any) -> str:
    """Describe an array by type and shape, as ``complex64 (1, 64, 64)``; or None.

    Examples
    --------
    >>> array_text(memoryview(b"ab"))
    '(2,)'
    """
    if values is None:
        return "None"
    return f"{getattr(values, 'dtype', '')} {tuple(values.shape)}".strip()
