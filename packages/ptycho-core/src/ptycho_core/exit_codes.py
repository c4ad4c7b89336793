"""Exit codes of the command, and which one an error means; imports nothing heavy."""

from collections.abc import Iterable

from ptycho_config.errors import InvalidValueError, PtychoError

__all__ = [
    "BELOW_QUALITY",
    "EXISTS",
    "EXIT_CODES",
    "FAILED",
    "INTERRUPTED",
    "OK",
    "USAGE",
    "BelowQualityError",
    "code_of",
    "worst_code",
]

OK = 0
FAILED = 1
USAGE = 2
EXISTS = 3
BELOW_QUALITY = 4
INTERRUPTED = 130

EXIT_CODES = {
    OK: "done",
    FAILED: "failed",
    USAGE: "wrong usage, or an input is missing",
    EXISTS: "the output exists already",
    BELOW_QUALITY: "done, but below the quality asked for",
    INTERRUPTED: "interrupted",
}
"""What each code means, in the order of the documentation."""

#: Of several codes the first one here is that of a batch.
_WORST_FIRST = (INTERRUPTED, USAGE, FAILED, EXISTS, BELOW_QUALITY)


class BelowQualityError(InvalidValueError):
    """A result does not fit as well as was asked for; it is already written."""


def code_of(error: BaseException) -> int:
    """Return the exit code of a command that an error ended."""
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    if isinstance(error, BelowQualityError):
        return BELOW_QUALITY
    if isinstance(error, PtychoError) and isinstance(error, FileExistsError):
        return EXISTS
    return FAILED


def worst_code(codes: Iterable[int]) -> int:
    """Return the code of a batch: the first of 130, 2, 1, 3 and 4 among its codes, else 0."""
    found = set(codes)
    return next((code for code in _WORST_FIRST if code in found), OK)
