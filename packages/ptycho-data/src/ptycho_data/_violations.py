"""Broken rules of the scan contract: one, all of a source, and the errors that tell of them."""

from collections.abc import Iterable
from typing import Any, Self

from attrs import frozen
from ptycho_config.errors import MissingFileError, PtychoError, sentence

__all__ = [
    "WHOLE_FILE",
    "Findings",
    "MissingScanError",
    "ScanFormatError",
    "ScanFormatWarning",
    "Violation",
]

WHOLE_FILE = ""
"""Key of a violation that concerns the file as a whole."""


@frozen(kw_only=True)
class Violation:
    """One broken rule of the scan contract.

    Attributes
    ----------
    file
        The file, or another name of the source.
    key
        The array concerned; empty for the file as a whole.
    rule
        What it must be, without "must be".
    got
        What was received, in words.
    advice
        What to do about it; may be empty.
    """

    file: str
    key: str
    rule: str
    got: str
    advice: str = ""

    def __str__(self) -> str:
        """Return ``KEY must be RULE, got GOT; ADVICE`` (the error names the file, once)."""
        return sentence(self.key or self.file, self.rule, self.got, self.advice)


class ScanFormatError(PtychoError, ValueError):
    """A scan breaks the contract; the message lists every violation in one line.

    Parameters
    ----------
    violations
        At least one violation, all of the same source.

    Attributes
    ----------
    violations : tuple of Violation
        All violations, for programs.
    """

    def __init__(self, violations: Iterable[Violation]) -> None:
        self.violations: tuple[Violation, ...] = tuple(violations)
        first, *more = self.violations
        text = "; ".join(str(violation) for violation in self.violations)
        count = f"{len(more) + 1} violations of the scan contract: " if more else ""
        super().__init__(f"{first.file}: {count}{text}" if more or first.key else text)

    @classmethod
    def of(cls, file: object, key: str, rule: str, got: str, advice: str = "") -> Self:
        """Return the error of one violation."""
        return cls([Violation(file=str(file), key=key, rule=rule, got=got, advice=advice)])

    def __reduce__(self) -> tuple[Any, ...]:
        """Rebuild from the violations, so that the error crosses process borders."""
        return type(self), (self.violations,)


class MissingScanError(ScanFormatError, MissingFileError):
    """There is no such file."""


class ScanFormatWarning(UserWarning):
    """A scan can be read, but something about it needs attention."""


class Findings:
    """Collects the violations of one source.

    Parameters
    ----------
    file
        Name of the source, written into every violation.
    """

    def __init__(self, file: str) -> None:
        self.file = file
        self.violations: list[Violation] = []

    def add(self, key: str, rule: str, got: str, advice: str = "") -> None:
        """Record one violation: `key` must be `rule`, got `got`; `advice`."""
        violation = Violation(file=self.file, key=key, rule=rule, got=got, advice=advice)
        self.violations.append(violation)

    def of(self, keys: Iterable[str]) -> list[Violation]:
        """Return the violations of these keys."""
        wanted = set(keys)
        return [violation for violation in self.violations if violation.key in wanted]

    def keys(self) -> set[str]:
        """Return the keys with at least one violation."""
        return {violation.key for violation in self.violations}
