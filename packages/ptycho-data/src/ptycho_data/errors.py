"""What is wrong with a scan, said all at once."""

from collections.abc import Iterable
from typing import Any, Self

from attrs import frozen
from ptycho_config.errors import PtychoError

WHOLE_FILE = "(file)"
"""Key of a violation that concerns the file as a whole."""


@frozen(kw_only=True)
class Violation:
    """One broken rule of the scan contract.

    Attributes
    ----------
    file
        The file, or another name of the source.
    key
        The array concerned; ``"(file)"`` for the file as a whole.
    found
        What is there.
    expected
        What the contract asks for, or what to do.
    """

    file: str
    key: str
    found: str
    expected: str

    def __str__(self) -> str:
        """Return ``key: found ..., expected ...`` (the file is named once, by the error)."""
        return f"{self.key}: found {self.found}, expected {self.expected}"


class ScanFormatError(PtychoError, ValueError):
    """A scan breaks the contract; the message lists every violation in one line.

    Parameters
    ----------
    violations
        At least one violation, all of the same source.

    Attributes
    ----------
    violations : tuple of Violation
        What was found, for programs.
    """

    def __init__(self, violations: Iterable[Violation]) -> None:
        self.violations: tuple[Violation, ...] = tuple(violations)
        first, *more = self.violations
        count = f"{len(more) + 1} violations of the scan contract: " if more else ""
        super().__init__(f"{first.file}: {count}{'; '.join(str(v) for v in self.violations)}")

    @classmethod
    def of(cls, file: object, key: str, found: str, expected: str) -> Self:
        """Return the error of one violation."""
        return cls([Violation(file=str(file), key=key, found=found, expected=expected)])

    def __reduce__(self) -> tuple[Any, ...]:
        """Rebuild from the violations, so that the error crosses process borders."""
        return type(self), (self.violations,)


class ScanFormatWarning(UserWarning):
    """A scan can be read, but something about it deserves a look."""


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

    def add(self, key: str, found: str, expected: str) -> None:
        """Record one violation."""
        self.violations.append(Violation(file=self.file, key=key, found=found, expected=expected))

    def of(self, keys: Iterable[str]) -> list[Violation]:
        """Return the violations of these keys."""
        wanted = set(keys)
        return [violation for violation in self.violations if violation.key in wanted]

    def keys(self) -> set[str]:
        """Return the keys with at least one violation."""
        return {violation.key for violation in self.violations}
