"""The one exception of this package."""


class ConfigError(ValueError):
    """A configuration that breaks its rules: every violation found, not the first only.

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
        return "; ".join(self.problems)
