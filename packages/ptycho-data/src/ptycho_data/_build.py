"""A scan from the arrays of a file or of a caller: all checks, then the fields of a `Scan`."""

import logging
import warnings
from collections.abc import Mapping
from os import PathLike
from typing import Any

import numpy as np
from attrs import asdict
from numpy.typing import NDArray

from ptycho_data._contract import Layout, check_layout
from ptycho_data._domain import Domain
from ptycho_data._experiment import Experiment, energy_doubt, resolve
from ptycho_data._order import AXES, settle_order
from ptycho_data._patterns import Negative, check_patterns
from ptycho_data._placement import position_doubts
from ptycho_data._preview import load_probe
from ptycho_data._scan import Scan
from ptycho_data._stack import LazyStack, Stack, is_patterns_first, read_patterns, some_of
from ptycho_data._statements import read_statements
from ptycho_data._stopped import PER_POSITION, cut_positions
from ptycho_data._values import arrange, check_patches, check_small
from ptycho_data._violations import Findings, ScanFormatWarning
from ptycho_data.formats._base import Raw

__all__ = ["build", "first_probe"]

_log = logging.getLogger(__name__)

#: Patterns to average, spread over the scan.
_PATTERNS = 256
#: So many of them are read together.
_TOGETHER = 16


def first_probe(
    stack: Stack, bad_pixels: NDArray[np.bool_] | None, domain: str
) -> NDArray[np.complex64]:
    """Estimate a probe from the mean pattern, assuming an empty object and a probe in focus.

    The far field of the probe alone has about the mean intensity; its phase is taken as flat. The
    estimate is a start for refinement only (Thibault et al., Ultramicroscopy 109, 338 (2009) start
    from less).

    Parameters
    ----------
    stack : (n, N, N)
        Patterns; at most 256 of them are read.
    bad_pixels : (N, N) bool, optional
        Taken as dark.
    domain : {"counts", "amplitude"}
        What the patterns are.

    Returns
    -------
    ndarray, (1, N, N) complex64
        Centred at ``[N//2, N//2]``, of unit power.
    """
    chosen = np.unique(np.linspace(0, len(stack) - 1, min(len(stack), _PATTERNS)).astype(int))
    total = np.zeros(stack.shape[1:])
    for some in np.array_split(chosen, -(-len(chosen) // _TOGETHER)):
        for values in read_patterns(stack, some):
            total += values if domain == "counts" else np.square(values, dtype=np.float64)
    if bad_pixels is not None:
        total[bad_pixels] = 0
    if not total.any():
        total[:] = 1  # dark in all that was looked at: some probe is needed all the same
    field = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(np.sqrt(total))))
    probe: NDArray[np.complex64] = (field / np.linalg.norm(field)).astype(np.complex64)
    return probe[np.newaxis]


# Stacks with the patterns last are put in order in memory up to this size, a fixed price whatever
# the scan; larger ones stay on disk, with a warning.
_REORDER_BYTES = 256 << 20
# Warn where a single pattern needs more than this to be decompressed.
_COSTLY_BYTES = 8 << 20


def build(
    raw: Raw,
    domain: Domain | None,
    findings: Findings,
    probe_file: str | PathLike[str] | None = None,
    negative: Negative = "refuse",
    given: Experiment | None = None,
) -> Scan | None:
    """Check layout, then values, as far as each key allows; None if anything is wrong.

    The probe of ``probe_file`` takes the place of the scan's own, which is not looked at then.
    """
    headers, may_lack = dict(raw.headers), raw.may_lack
    if probe_file is not None:
        headers.pop("probeGuess", None)
        may_lack = (*may_lack, "probeGuess")
    headers, cut = cut_positions(headers)
    layout = check_layout(headers, findings, raw.names, optional=may_lack)
    read, checksums = raw.read(layout.usable)
    if cut:
        raw.cautions.append(cut)
        rows = slice(headers["xcoords"].shape[0])
        read = {key: some_of(value, rows) if key in PER_POSITION else value
                for key, value in read.items()}  # fmt: skip
        checksums.pop("Y", None)
    stated = read_statements(read, findings)
    if layout.ambiguous and "diffraction" in read and AXES not in (stated.axes, raw.axes):
        layout, note = settle_order(layout, read["diffraction"])
        raw.cautions.append(note)
    arrays: dict[str, Any] = arrange(read, layout)
    check_small(arrays, findings)
    if "Y" in arrays:
        check_patches(arrays["Y"], checksums.get("Y"), findings)
    if "diffraction" not in arrays:
        return None
    patterns = check_patterns(
        arrays["diffraction"],
        domain or stated.domain,
        arrays.get("bad_pixels"),
        checksums.get("diffraction"),
        findings,
        negative=negative,
    )
    if findings.violations or patterns.domain is None:
        return None
    arrays["diffraction"] = patterns.stack
    if patterns.bad_pixels is not None:
        arrays["bad_pixels"] = patterns.bad_pixels
    raw.cautions.extend(patterns.cautions)
    made = probe_file is None and "probeGuess" not in arrays
    if probe_file is not None:
        arrays["probeGuess"] = load_probe(probe_file, layout.N)
    elif made:
        raw.cautions.append(f"{raw.no_probe}: a first one was made from the mean pattern")
        arrays["probeGuess"] = first_probe(patterns.stack, patterns.bad_pixels, patterns.domain)
    known, notes = resolve(given or Experiment(), stated.experiment, layout.N)
    raw.cautions.extend([*notes, *energy_doubt(known), *position_doubts(arrays)])
    _report(raw, layout, findings.file)
    fields = _cast(arrays) | {"nphotons": stated.nphotons, "origin_m": stated.origin_m}
    fields |= asdict(known) | {"particle": known.particle or "photon"}
    fields["probe_made"] = made or (stated.probe_made and probe_file is None)
    return Scan(
        domain=patterns.domain,
        source=raw.files[0] if raw.files else None,
        files=raw.files,
        known_totals=patterns.totals,
        **fields,
    )


def _cast(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Turn checked arrays into the fields of a scan, in the contract's dtypes."""
    optional: tuple[tuple[str, str, type], ...] = (
        ("object_guess", "objectGuess", np.complex64),
        ("patches", "Y", np.complex64),
        ("xcoords_start", "xcoords_start", np.float64),
        ("ycoords_start", "ycoords_start", np.float64),
        ("scan_index", "scan_index", np.int64),
        ("bad_pixels", "bad_pixels", np.bool_),
        ("background", "background", np.float32),
        ("subtracted", "subtracted", np.float32),
    )
    fields: dict[str, Any] = {
        name: arrays[key].astype(dtype, copy=False)
        for name, key, dtype in optional
        if key in arrays
    }
    for name, key in (("diffraction", "diffraction"), ("patches", "Y")):
        stack = arrays.get(key)
        if isinstance(stack, np.ndarray) and not is_patterns_first(stack):
            fields[name] = np.ascontiguousarray(stack) if stack.nbytes <= _REORDER_BYTES else stack
    fields.setdefault("diffraction", arrays["diffraction"])
    return fields | {
        "xcoords": arrays["xcoords"],
        "ycoords": arrays["ycoords"],
        "probe": arrays["probeGuess"],
    }


def _report(raw: Raw, layout: Layout, file: str) -> None:
    """Log the conversions, and warn about what needs attention."""
    for key in sorted(layout.transposed):
        _log.info("%s: FORMAT-001: %s stored as (H, W, n), read as (n, H, W)", file, key)
    for remark in raw.remarks:
        _log.info("%s: %s", file, remark)
    for caution in (*raw.cautions, *_slow(raw, layout)):
        warnings.warn(f"{file}: {caution}", ScanFormatWarning, stacklevel=6)


def _slow(raw: Raw, layout: Layout) -> list[str]:
    """Return warnings about patterns that are slow to read, with advice."""
    stack = raw.headers["diffraction"]
    advice = "rewrite it once, patterns one by one: ptycho convert IN OUT.npz"
    if "diffraction" in layout.transposed:
        size = int(np.prod(stack.shape, dtype=object)) * stack.dtype.itemsize
        if size > _REORDER_BYTES:
            return [f"every pattern is scattered over {size / 1e9:.1f} GB; {advice}"]
    cost = getattr(stack.source, "cost", 0) if isinstance(stack, LazyStack) else 0
    if cost > _COSTLY_BYTES:
        return [f"reading one pattern means decompressing {cost / 1e6:.0f} MB; {advice}"]
    return []
