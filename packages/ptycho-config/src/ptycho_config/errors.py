"""The errors shown to users: one hierarchy, one format of messages.

::

    PtychoError                        base of every error whose message is meant for people
    ├── InvalidValueError              a value breaks a rule; also a ValueError
    ├── ConfigError                    settings break their rules, all of them listed; a ValueError
    ├── MissingFileError               no such file; also a FileNotFoundError
    └── MissingPackageError            something is not installed; also a RuntimeError

Other packages derive from these. A message reads ``NAME must be RULE, got VALUE; what to do``.
It is one line: names and values may come from anywhere, so control characters are shown escaped,
and long names without their middle. Any other exception is a bug.
"""

from typing import Any

from ptycho_config.plain_text import printable, shortened

SHOWN_LENGTH = 80


class PtychoError(Exception):
    """Base of all errors shown to users: one line that says what to do."""

    def __str__(self) -> str:
        """Return the message, control characters and line breaks escaped."""
        return printable(super().__str__())


class InvalidValueError(PtychoError, ValueError):
    """A value that breaks a rule.

    Parameters
    ----------
    name : str
        Name of the value: an argument, a setting, an array of a file.
    rule : str
        What it must be, without "must be": ``"an integer >= 1"``.
    got : str
        What was received, in words; `describe` writes any object.
    advice : str, optional
        What to do about it.

    Attributes
    ----------
    name, rule, got, advice : str
        As given, for programs and tests.

    Examples
    --------
    >>> str(InvalidValueError("positions", "an (n, 2) array", "shape (3,)"))
    'positions must be an (n, 2) array, got shape (3,)'
    """

    def __init__(self, name: str, rule: str, got: str, advice: str = "") -> None:
        super().__init__(sentence(name, rule, got, advice))
        self.name, self.rule, self.got, self.advice = name, rule, got, advice

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the parts, so that the error can be sent between processes."""
        return type(self), (self.name, self.rule, self.got, self.advice)


class ConfigError(PtychoError, ValueError):
    """A configuration that breaks its rules, with all violations found.

    Parameters
    ----------
    *problems : str
        One line per violation. A violation of a field starts with the field's name, then states
        the rule and the value received.

    Attributes
    ----------
    problems : tuple of str
        The lines given; ``str(error)`` joins them with semicolons.

    Examples
    --------
    >>> str(ConfigError("N must be one of 64, 128, 256, got 65"))
    'N must be one of 64, 128, 256, got 65'
    """

    def __init__(self, *problems: str) -> None:
        super().__init__(*problems)
        self.problems: tuple[str, ...] = problems

    def __str__(self) -> str:
        """Join the problems into one line."""
        return printable("; ".join(self.problems))

    @property
    def names(self) -> tuple[str, ...]:
        """The first word of each problem, which is the name of the field."""
        return tuple(problem.partition(" ")[0] for problem in self.problems)


class MissingFileError(PtychoError, FileNotFoundError):
    """A file or folder that does not exist; the message names it and says what to do."""


class MissingPackageError(PtychoError, RuntimeError):
    """A package that is not installed; the message has the command that installs it."""


def sentence(name: str, rule: str, got: str, advice: str = "") -> str:
    """Write a violation in the common format of messages, long parts without their middle.

    Examples
    --------
    >>> sentence("nepochs", "an integer >= 1", "0")
    'nepochs must be an integer >= 1, got 0'
    """
    text = f"{shortened(name)} must be {shortened(rule)}, got {shortened(got)}"
    return printable(text + (f"; {shortened(advice)}" if advice else ""))


def describe(value: object) -> str:
    """Write any received value on one line, shortened."""
    try:
        text = printable(" ".join(repr(value).split()))
    except Exception:  # a foreign __repr__ may raise anything, and so does an int of 5000 digits
        text = f"<{type(value).__name__}>"
    return text if len(text) <= SHOWN_LENGTH else text[: SHOWN_LENGTH - 3] + "..."
