"""Progress of some work as one line: a bar as wide as the terminal, or a sentence."""

import time
from collections.abc import Sequence
from datetime import timedelta

from attrs import define, field
from ptycho_config.plain_text import printable

__all__ = ["Bar"]

#: Fewest and most characters of a bar; it is left out where there is less room.
SHORTEST, LONGEST = 8, 30


@define
class Bar:
    """Progress of some work.

    Attributes
    ----------
    label : str
        What is done, after the larger work that it is a part of: ``3/50 scan_7: solving``.
    total : int
        Number of steps of the whole work.
    facts : sequence of str
        What else is known, the most important first: a narrow terminal shows the first ones.
    done : int
        Number of steps done.
    told : float
        When a line about it was last logged, as `time.monotonic`.
    """

    label: str
    total: int
    facts: Sequence[str] = ()
    done: int = 0
    told: float = field(factory=time.monotonic)
    _first: tuple[float, int] | None = None

    def move(self, done: int, facts: Sequence[str]) -> None:
        """Set the number of steps done and the facts.

        The first step is not part of the estimate of the time to go: it may load or compile.
        """
        if self._first is None:
            self._first = time.monotonic(), done
        self.done, self.facts = done, facts

    @property
    def to_go(self) -> str:
        """Time to go for the whole work; empty where it is unknown."""
        began, before = self._first or (0.0, self.done)
        if not before < self.done < self.total:
            return ""
        seconds = (time.monotonic() - began) / (self.done - before) * (self.total - self.done)
        return f"{timedelta(seconds=round(seconds))} to go"

    def sentence(self, *, ended: bool = False) -> str:
        """Describe the progress in words, for a log."""
        facts = self.facts if ended else (*self.facts, self.to_go)
        known = ", ".join(filter(None, facts))
        return f"{self.label}: {known}"

    def line(self, width: int, *, full: str = "━", empty: str = "─") -> tuple[str, str, str, str]:
        """Draw the bar on at most `width` columns of a terminal.

        Returns
        -------
        before, done, left, after : str
            Text, both parts of the bar, and text.
        """
        from rich.cells import cell_len

        share = min(1.0, self.done / max(self.total, 1))
        end = ", ".join(filter(None, [f"{int(100 * share)} %", self.to_go]))
        outer, colon, label = printable(self.label).rpartition(": ")
        room = width - cell_len(label) - len(end) - 1
        start = _cut(outer, min(room - 2, width // 3)) + colon + label
        room = width - cell_len(start) - len(end) - 1
        for fact in filter(None, map(printable, self.facts)):
            room -= cell_len(fact) + 2
            if room <= SHORTEST:
                room += cell_len(fact) + 2
                break
            end += f", {fact}"
        if room <= SHORTEST:
            return _cut(f"{start} {end}", width), "", "", ""
        length = min(room - 1, LONGEST)
        filled = int(length * share)
        return f"{start} ", full * filled, empty * (length - filled), f" {end}"


def _cut(text: str, width: int) -> str:
    """Cut text to a number of columns; characters of East Asian scripts take two."""
    from rich.cells import cell_len, set_cell_size

    if cell_len(text) <= width:
        return text
    return set_cell_size(text, width - 3) + "..." if width > 3 else ""  # no room for a word
