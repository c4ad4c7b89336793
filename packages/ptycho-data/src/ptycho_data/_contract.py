"""The contract of a scan: names, shapes and dtypes of its arrays, checked before data are read."""

import math
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import numpy as np
from attrs import field, frozen
from numpy.typing import ArrayLike, NDArray
from ptycho_config.errors import InvalidValueError

from ptycho_data._violations import Findings

ALIASES = {"diff3d": "diffraction"}
"""Other names of contract keys; the contract's own name wins when both are there."""
STACK_KEYS = ("diffraction", "Y")
"""Keys whose arrays grow with the number of patterns times pixels: kept on disk if possible."""
REQUIRED = {
    "diffraction": "(n, N, N) amplitudes or counts",
    "xcoords": "(n,) positions in pixels",
    "ycoords": "(n,) positions in pixels",
    "probeGuess": "complex (N, N) or (M, N, N)",
}
OPTIONAL = (
    "objectGuess", "xcoords_start", "ycoords_start", "Y", "scan_index", "bad_pixels",
    "background", "subtracted",
    "nphotons", "pixel_size_m", "domain", "_metadata",
)  # fmt: skip
KNOWN_KEYS = (*REQUIRED, *OPTIONAL)
_REAL, _COMPLEX, _TEXT = "iuf", "c", "US"


class Described(Protocol):
    """Anything with a shape and a dtype: an array, or the header of one still on disk."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Extents."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Element type."""
        ...


def describe_array(array: Described) -> str:
    """Return type and shape in words for a message."""
    return f"{array.dtype} {array.shape}"


def raster_advice(shape: tuple[int, ...], n: int | None = None) -> str:
    """Advise how to make a stack of a raster of patterns, as of an electron microscope.

    Parameters
    ----------
    shape
        (rows, columns, N, N), or (N, N, rows, columns), of the raster.
    n
        Number of positions, if known: it tells which of both.

    Returns
    -------
    str
        Empty for any other shape.
    """
    if len(shape) < 4 or 0 in shape:
        return ""
    places, pixels = shape[:-2], shape[-2:]
    swapped = pixels[0] != pixels[1] or n not in (None, math.prod(places))
    if swapped and shape[0] == shape[1] and n in (None, math.prod(shape[2:])):
        stack = (math.prod(shape[2:]), *shape[:2])
        return f"move the last axes of this raster to the front, reshape to (n, N, N) = {stack}"
    stack = (math.prod(places), *pixels)
    return f"reshape this raster to (n, N, N) = {stack}, in the order of the positions"


@frozen(kw_only=True)
class Layout:
    """The sizes of a scan, and the arrays of the right shape.

    Attributes
    ----------
    n
        Number of positions; None if unknown.
    N
        Pattern size in pixels; None if unknown.
    usable
        Contract keys whose layout is right.
    transposed
        Stacks stored as (H, W, n), to be moved to (n, H, W) (rule FORMAT-001).
    ambiguous
        Whether n == N, so that both orders of a stack look alike: see `ptycho_data._order`.
    """

    n: int | None
    N: int | None
    usable: frozenset[str] = frozenset()
    transposed: frozenset[str] = field(default=frozenset())
    ambiguous: bool = False


def resolve_aliases(names: Mapping[str, object] | tuple[str, ...]) -> dict[str, str]:
    """Map each contract key that is present to the name it goes by in the source."""
    sources = {key: name for name, key in ALIASES.items() if name in names}
    return sources | {key: key for key in KNOWN_KEYS if key in names}


def has_trailing_mode(shape: tuple[int, ...]) -> bool:
    """Tell a probe written as (N, N, 1) from modes (M, N, N)."""
    return len(shape) == 3 and shape[2] == 1 != shape[1]


def probe_side(shape: tuple[int, ...]) -> int | None:
    """Return N of a probe of shape (N, N), (M, N, N) or (N, N, 1); None for any other shape."""
    plane = shape[:2] if has_trailing_mode(shape) else shape[-2:]
    if len(shape) not in (2, 3) or 0 in shape or plane[0] != plane[1]:
        return None
    return plane[0]


def mode_axis_first(probe: NDArray[Any]) -> NDArray[Any]:
    """Return a probe (N, N) or (N, N, 1) as modes (1, N, N), any other array as it is."""
    modes = probe[..., 0] if has_trailing_mode(probe.shape) else probe
    return modes[np.newaxis] if modes.ndim == 2 else modes


STRENGTH = (1e-15, 1e15)
"""Least and largest modulus of the strongest pixel of a probe, and the largest of an object: their
squares, summed over all pixels, are then numbers of single precision."""


def strength_problem(
    values: NDArray[Any], *, weakest: float = STRENGTH[0]
) -> tuple[str, str, str] | None:
    """Check that single precision can compute with a finite probe or object.

    Parameters
    ----------
    values
        Complex array; one of zeros has no strength, and passes.
    weakest
        Least modulus of the strongest pixel.

    Returns
    -------
    tuple of str or None
        Broken rule, received value and advice; None if there is no problem.
    """
    with np.errstate(over="ignore"):  # of doubles that are almost infinite
        strongest = float(np.abs(values).max(initial=0))
    if not strongest or weakest <= strongest <= STRENGTH[1]:
        return None
    rule = f"of moduli up to {STRENGTH[1]:g}"
    if weakest:
        rule = f"with a strongest pixel of modulus {weakest:g} to {STRENGTH[1]:g}"
    return rule, f"{strongest:g}", "divide it by that"


def as_modes(
    probe: ArrayLike, N: int | None = None, *, name: str = "probe"
) -> NDArray[np.complex64]:
    """Return the modes of a probe, checked.

    Parameters
    ----------
    probe : array_like, (N, N), (M, N, N) or (N, N, 1)
        Complex, finite, and not zero everywhere.
    N
        Pixels along a side of the patterns that it belongs to.
    name
        Name of the probe in messages.

    Returns
    -------
    ndarray, (M, N, N) complex64

    Raises
    ------
    InvalidValueError
        If the array is no probe, or of another size than the patterns.
    """
    values = np.asarray(probe)
    side = probe_side(values.shape)
    if values.dtype.kind != "c" or side is None:
        shapes = "a complex array of shape (N, N) or (M, N, N)"
        raise InvalidValueError(name, shapes, describe_array(values))
    if N not in (None, side):
        size = f"of {N} x {N} pixels like the patterns"
        raise InvalidValueError(name, size, f"{side} x {side}")
    if not np.isfinite(values).all():
        raise InvalidValueError(name, "finite", "NaN or infinity")
    if not values.any():
        raise InvalidValueError(name, "nonzero somewhere", "zeros only")
    problem = strength_problem(values)
    if problem is not None:
        raise InvalidValueError(name, *problem)
    return mode_axis_first(values).astype(np.complex64, copy=False)


def check_layout(
    headers: Mapping[str, Described],
    findings: Findings,
    names: Iterable[str] = (),
    *,
    optional: Iterable[str] = (),
) -> Layout:
    """Check names, shapes and dtypes of all arrays of a scan.

    Parameters
    ----------
    headers
        Contract key to anything with shape and dtype. Keys with a finding already are taken as
        present but unusable.
    findings
        Receives every violation.
    names
        All names in the source, for the message about a missing key.
    optional
        Required keys that may be missing this time.

    Returns
    -------
    Layout
        Sizes and the keys that are fit to be read.
    """
    check = _LayoutCheck(headers, findings)
    check.required(sorted(names or headers), frozenset(optional))
    check.positions()
    check.diffraction()
    check.probe()
    check.optional()
    usable = frozenset(headers) - findings.keys()
    return Layout(
        n=check.n,
        N=check.N,
        usable=usable,
        transposed=frozenset(check.transposed) & usable,
        ambiguous=check.n is not None and check.n == check.N,
    )


class _LayoutCheck:
    """The rules of the contract, one method per group of keys."""

    def __init__(self, headers: Mapping[str, Described], findings: Findings) -> None:
        self.headers = headers
        self.findings = findings
        self.n: int | None = None
        self.N: int | None = None
        self.transposed: set[str] = set()

    def required(self, names: list[str], optional: frozenset[str]) -> None:
        expected = {*self.headers, *self.findings.keys(), *optional}
        absent = [key for key in REQUIRED if key not in expected]
        for key in absent:
            # The list of all arrays is long, so it is given once.
            advice = f"the file holds: {', '.join(names) or 'nothing'}" if key == absent[0] else ""
            self.findings.add(key, REQUIRED[key], "no such array", advice)

    def positions(self) -> None:
        """Positions fix n: they are the one thing that cannot be transposed."""
        for key in ("xcoords", "ycoords"):
            shape = self._shape(key, _REAL)
            if shape is None:
                continue
            if len(shape) != 1 or shape[0] == 0:
                advice = "flatten it: reshape(-1)" if len(shape) > 1 and 0 not in shape else ""
                self._wrong(key, "of shape (n,) with n >= 1", advice)
            elif self.n is None:
                self.n = shape[0]
            elif shape[0] != self.n:
                self._wrong(key, f"of shape ({self.n},) like xcoords")

    def diffraction(self) -> None:
        shape = self._shape("diffraction", _REAL)
        if shape is None:
            return
        if len(shape) != 3 or 0 in shape:
            rule = "of shape (n, N, N), none of them 0"
            self._wrong("diffraction", rule, raster_advice(shape, self.n))
            return
        pixels = self._pixels("diffraction", shape)
        if pixels is None:
            self._wrong("diffraction", f"of shape ({self.n}, N, N), one pattern per position")
        elif pixels[0] != pixels[1]:
            self._wrong(
                "diffraction",
                "square patterns",
                f"crop them to {min(pixels)} x {min(pixels)} pixels around the beam, or pad them "
                "with bad pixels: docs/real-data.md, Patterns of another size",
            )
        else:
            self.N = pixels[0]

    def probe(self) -> None:
        shape = self._shape("probeGuess", _COMPLEX)
        if shape is None:
            return
        size = "N" if self.N is None else self.N
        side = probe_side(shape)
        if side is None or self.N not in (None, side):
            shapes = f"({size}, {size}) or (M, {size}, {size})"
            self._wrong("probeGuess", f"of shape {shapes} like the patterns")

    def optional(self) -> None:
        n, N = self.n, self.N
        self._exactly("xcoords_start", _REAL, (n,))
        self._exactly("ycoords_start", _REAL, (n,))
        self._exactly("scan_index", _REAL, (n,))
        self._exactly("bad_pixels", "biu", (N, N))
        self._exactly("background", _REAL, (N, N))
        self._exactly("subtracted", _REAL, (N, N))
        for key, kinds in (("nphotons", _REAL), ("pixel_size_m", _REAL), ("domain", _TEXT)):
            self._scalar(key, kinds)
        self._scalar("_metadata", _TEXT)
        shape = self._shape("objectGuess", _COMPLEX)
        if shape is not None and (len(shape) != 2 or 0 in shape):
            self._wrong("objectGuess", "of shape (H, W)")
        shape = self._shape("Y", _COMPLEX)
        if shape is not None and n is not None and N is not None:
            squeezed = shape[:3] if len(shape) == 4 and shape[3] == 1 else shape
            pixels = self._pixels("Y", squeezed) if len(squeezed) == 3 else None
            if pixels != (N, N):
                self._wrong("Y", f"of shape ({n}, {N}, {N}), one patch per pattern")

    def _pixels(self, key: str, shape: tuple[int, ...]) -> tuple[int, int] | None:
        """Return the pixel axes of a stack; None if no end has the number of positions."""
        if self.n is None:  # the best guess, to go on looking for violations
            return (shape[1], shape[2]) if shape[1] == shape[2] else (shape[0], shape[1])
        if shape[0] == self.n:
            return shape[1], shape[2]
        if shape[2] == self.n:
            self.transposed.add(key)
            return shape[0], shape[1]
        return None

    def _shape(self, key: str, kinds: str) -> tuple[int, ...] | None:
        """Return the shape of a present array of the right kind; report a wrong kind."""
        header = self.headers.get(key)
        if header is None:
            return None
        if header.dtype.kind not in kinds:
            names = {"i": "integer", "f": "float", "c": "complex", "b": "bool", "U": "text"}
            wanted = " or ".join(names[kind] for kind in kinds if kind in names)
            self.findings.add(key, wanted, f"dtype {header.dtype}")
            return None
        return header.shape

    def _exactly(self, key: str, kinds: str, wanted: tuple[int | None, ...]) -> None:
        shape = self._shape(key, kinds)
        if shape is not None and None not in wanted and shape != wanted:
            self._wrong(key, f"of shape {wanted}")

    def _scalar(self, key: str, kinds: str) -> None:
        shape = self._shape(key, kinds)
        if shape not in (None, (), (1,)):
            self._wrong(key, "a single value")

    def _wrong(self, key: str, rule: str, advice: str = "") -> None:
        self.findings.add(key, rule, describe_array(self.headers[key]), advice)
