"""The domain of patterns that do not state it, from their values."""

from typing import Any, Literal, get_args

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from ptycho_data._measure import StackStatistics
from ptycho_data._stack import Stack, read_patterns
from ptycho_data._violations import Findings

__all__ = ["DOMAINS", "Domain", "Settled", "quantum", "settle_domain"]

Domain = Literal["counts", "amplitude"]
"""What the diffraction values are: photons, or square roots of (scaled) photons."""
DOMAINS: tuple[str, ...] = get_args(Domain)
#: Patterns in which the step between values is looked for.
_PATTERNS = 16
#: The most that a value may be off a multiple of the step, in steps.
_OFF = 1e-3
#: Rounding of the stored type counts this many times.
_ROUNDINGS = 4
#: Values that must be multiples, as a share of all that are not zero.
_SHARE = 0.2


@frozen(kw_only=True)
class Settled:
    """The domain of a stack of patterns.

    Attributes
    ----------
    domain
        The domain; None if it cannot be known.
    scale
        What the values must be multiplied by to become counts.
    caution
        What was assumed, and why; empty where the domain is stated or sure.
    """

    domain: Domain | None
    scale: float = 1.0
    caution: str = ""


def settle_domain(
    stack: Stack,
    stated: str | None,
    statistics: StackStatistics,
    bad_pixels: NDArray[np.bool_] | None,
    findings: Findings,
) -> Settled:
    """Find out whether patterns are counts or amplitudes.

    A stated domain wins. Integers, and whole numbers in floats, are counts. Of floats up to 1 the
    steps between the values tell counts that were divided by their largest value (whole multiples
    of one step) from amplitudes of counts (whose squares are). Where there is no such step, floats
    up to 1 are taken as amplitudes, with a caution; larger ones are a violation. Counts that were
    divided are multiplied again where the domain is stated, too: likelihoods need whole photons.

    Parameters
    ----------
    stack : (n, N, N)
        Patterns.
    stated
        Stated domain, if any.
    statistics
        Of the stack, with `whole` where it holds floats.
    bad_pixels : (N, N) bool, optional
        Pixels whose values do not matter.
    findings
        Receives a violation where the domain cannot be known.

    Returns
    -------
    Settled
        The domain, and what was assumed.
    """
    if stated == "amplitude":
        return Settled(domain="amplitude")
    if stack.dtype.kind != "f" or statistics.whole:
        return Settled(domain="counts")
    small = statistics.maximum <= 1 + 1e-6
    if stated is not None and not small:
        return Settled(domain="counts")
    if not small:
        got = f"{stack.dtype} up to {statistics.maximum:g} without a domain"
        advice = "pass --domain counts or --domain amplitude (or add a key 'domain' to the file)"
        findings.add("diffraction", "of a known domain", got, advice)
        return Settled(domain=None)
    values = _sample(stack, bad_pixels)
    precision = float(np.finfo(stack.dtype).eps)
    step = quantum(values, precision)
    if step is not None:
        number = f"{1 / step:.6g}"
        told = "" if stated else "; if they are something else, say so with --domain"
        return Settled(
            domain="counts",
            scale=1 / step,
            caution=f"diffraction: the values are whole multiples of 1/{number}, so they were read "
            f"as counts divided by {number}, and multiplied by it{told}",
        )
    if stated is not None:
        return Settled(domain="counts")
    if quantum(values**2, 2 * precision) is not None:
        return Settled(domain="amplitude")
    return Settled(
        domain="amplitude",
        caution="diffraction: no domain is stated; floats of at most 1 were taken as amplitudes "
        "(square roots of counts) because of their number type alone, but intensities divided by "
        "their largest value look the same; say which they are with --domain amplitude or "
        "--domain counts",
    )


def _sample(stack: Stack, bad_pixels: NDArray[np.bool_] | None) -> NDArray[np.float64]:
    """Return the values of some patterns that are neither zero nor bad."""
    chosen = np.unique(np.linspace(0, len(stack) - 1, min(len(stack), _PATTERNS)).astype(int))
    patterns = read_patterns(stack, chosen, np.float64)
    values = patterns.ravel() if bad_pixels is None else patterns[:, ~bad_pixels].ravel()
    return np.asarray(values[values > 0])


def quantum(values: NDArray[Any], precision: float) -> float | None:
    """Return the step of which positive values are whole multiples.

    Counts that were divided by a number keep their step, ``1 / number``; so do the squares of the
    amplitudes of counts. Values without such a step fail after a few of them.

    Parameters
    ----------
    values : (k,) float64
        Positive values.
    precision
        Relative error of each from rounding.

    Returns
    -------
    float or None
        The step; None if there is none, or no more than one value to judge by.
    """
    levels, numbers = np.unique(values, return_counts=True)
    if len(levels) < 2:
        return None
    step = float(min(levels[0], np.diff(levels).min()))
    # The more multiples are known to be right, the better the step is known: ever larger ones.
    largest = _OFF / (_ROUNDINGS * precision)
    multiples = np.rint(levels / step)
    for most in (8, 64, 512, 4096, 32768, largest):
        used = multiples <= min(most, largest)
        if not used.any():
            continue
        step = float(levels[used] @ multiples[used] / (multiples[used] @ multiples[used]))
        multiples = np.rint(levels / step)
        used = multiples <= min(most, largest)
        tolerance = _OFF + _ROUNDINGS * precision * multiples[used]
        if (np.abs(levels[used] / step - multiples[used]) > tolerance).any():
            return None
    known = int(used.sum()) >= 2 and numbers[used].sum() >= _SHARE * len(values)
    return step if known else None
