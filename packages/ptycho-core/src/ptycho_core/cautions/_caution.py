"""A doubt about a scan or about a result."""

from typing import Any

from attrs import asdict, field, frozen
from ptycho_config.errors import PtychoError

__all__ = ["Caution", "UnusableScanError"]


class UnusableScanError(PtychoError, ValueError):
    """A scan that no method can reconstruct."""


@frozen(kw_only=True)
class Caution:
    """A doubt, the measurement that raised it, and what to do.

    Attributes
    ----------
    code : str
        Name of the kind of doubt, for programs: ``hot-pixels``.
    text : str
        One sentence for people: what was found, with the numbers, and what to do.
    measured : dict
        The numbers, for programs.
    fatal : bool
        Whether no method can reconstruct the scan, so that the command ends with an error.
    """

    code: str
    text: str
    measured: dict[str, Any] = field(factory=dict)
    fatal: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return the attributes as plain values for JSON."""
        return asdict(self)
