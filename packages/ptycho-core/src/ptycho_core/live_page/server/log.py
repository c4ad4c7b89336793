"""A list that only grows at its end, of bounded length, and what is new in it for a viewer."""

from typing import Any

from attrs import define, field

__all__ = ["Log"]

#: Entries at most.
MOST = 4000


@define(eq=False)
class Log:
    """Entries in order. When there are too many, every second one of the older half is left out.

    Attributes
    ----------
    entries : list
    thinned : int
        How often entries were left out.
    """

    entries: list[Any] = field(factory=list)
    thinned: int = 0

    def add(self, entry: Any) -> None:
        """Add an entry."""
        self.entries.append(entry)
        if len(self.entries) > MOST:
            half = MOST // 2
            self.entries[:half] = self.entries[:half:2]
            self.thinned += 1

    def since(self, mark: tuple[int, int]) -> dict[str, Any]:
        """Return what is new after `mark`, or everything, which replaces what the viewer has."""
        thinned, length = mark
        whole = thinned != self.thinned
        return {"whole": whole, "entries": self.entries[0 if whole else length :]}

    @property
    def mark(self) -> tuple[int, int]:
        """Where the log ends."""
        return self.thinned, len(self.entries)
