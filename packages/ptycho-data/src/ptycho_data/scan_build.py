"""A scan out of the arrays of a file: layout first, then values, then what deserves a word."""

import logging
import warnings
from collections.abc import Mapping
from os import PathLike
from typing import Any

import numpy as np

from ptycho_data.contents import (
    Domain,
    arrange,
    check_diffraction,
    check_patches,
    check_small,
    read_statements,
)
from ptycho_data.contract import Layout, check_layout
from ptycho_data.errors import Findings, ScanFormatWarning
from ptycho_data.first_probe import first_probe
from ptycho_data.formats.base import Raw
from ptycho_data.formats.write_npz import AXES
from ptycho_data.lazy import LazyStack
from ptycho_data.probe_file import load_probe
from ptycho_data.scan import Scan
from ptycho_data.stacks import StackStatistics, is_patterns_first

__all__ = ["build"]

_log = logging.getLogger(__name__)
# Stacks with the patterns last are put in order in memory up to this size, a fixed price whatever
# the scan; larger ones stay on disk, with a word on how to make them fast.
_REORDER_BYTES = 256 << 20
# Decompressing more than this for a single pattern is worth a word, too.
_COSTLY_BYTES = 8 << 20


def build(
    raw: Raw,
    domain: Domain | None,
    findings: Findings,
    probe_file: str | PathLike[str] | None = None,
) -> Scan | None:
    """Check layout, then values, as far as each key allows; None if anything is wrong.

    The probe of ``probe_file`` takes the place of the scan's own, which is not looked at then.
    """
    headers, may_lack = dict(raw.headers), raw.may_lack
    if probe_file is not None:
        headers.pop("probeGuess", None)
        may_lack = (*may_lack, "probeGuess")
    layout = check_layout(headers, findings, raw.names, optional=may_lack)
    arrays, checksums = raw.read(layout.usable)
    stated = read_statements(arrays, findings)
    arrays = arrange(arrays, layout)
    check_small(arrays, findings)
    if "Y" in arrays:
        check_patches(arrays["Y"], checksums.get("Y"), findings)
    if "diffraction" not in arrays:
        return None
    stack, mask = arrays["diffraction"], arrays.get("bad_pixels")
    settled, statistics = check_diffraction(
        stack, domain or stated.domain, mask, checksums.get("diffraction"), findings
    )
    if findings.violations or settled is None:
        return None
    totals = statistics.square_totals if settled == "amplitude" else statistics.totals
    if probe_file is not None:
        arrays["probeGuess"] = load_probe(probe_file, layout.N)
    elif "probeGuess" not in arrays:
        raw.cautions.append(
            "no probe in the file: a first one was made from the mean pattern; give a better one "
            "with --probe-file, or refine it with ptycho reconstruct --update-probe"
        )
        arrays["probeGuess"] = first_probe(stack, mask, settled)
    _report(raw, layout, stated.axes, statistics, findings.file)
    fields = _cast(arrays) | {"nphotons": stated.nphotons, "pixel_size_m": stated.pixel_size_m}
    fields |= stated.experiment
    return Scan(
        domain=settled,
        source=raw.files[0] if raw.files else None,
        files=raw.files,
        known_totals=totals,
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


def _report(
    raw: Raw, layout: Layout, axes: str | None, statistics: StackStatistics, file: str
) -> None:
    """Say what was decided silently and what looks odd."""
    for key in sorted(layout.transposed):
        _log.info("%s: FORMAT-001: %s stored as (H, W, n), read as (n, H, W)", file, key)
    for remark in raw.remarks:
        _log.info("%s: %s", file, remark)
    cautions = list(raw.cautions)
    if layout.ambiguous and axes != AXES:
        cautions.append(
            f"FORMAT-001: {layout.n} patterns of {layout.N} pixels look the same in both "
            "axis orders; read as (n, N, N), check the pictures"
        )
    blank = np.flatnonzero(statistics.totals == 0)
    if len(blank):
        shown = ", ".join(str(index) for index in blank[:5]) + (", ..." if len(blank) > 5 else "")
        cautions.append(
            f"{len(blank)} of {len(statistics.totals)} patterns hold no photons "
            f"({shown}); if the beam was off there, leave them out"
        )
    cautions.extend(_slow(raw, layout))
    for caution in cautions:
        warnings.warn(f"{file}: {caution}", ScanFormatWarning, stacklevel=6)


def _slow(raw: Raw, layout: Layout) -> list[str]:
    """Say where single patterns are dear to read, and what to do about it."""
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
