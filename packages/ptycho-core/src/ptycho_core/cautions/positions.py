"""Checks of positions and of the overlap of neighbouring patterns."""

from collections.abc import Iterator

import numpy as np
from ptycho_physics.memory import machine_memory, object_memory

from ptycho_core.cautions._caution import Caution
from ptycho_core.cautions._facts import ScanFacts

__all__ = ["little_overlap", "object_too_large", "single_pattern"]

#: Overlap below which a scan is poor.
USUAL_OVERLAP = 0.6


def single_pattern(facts: ScanFacts) -> Iterator[Caution]:
    """Doubt a scan of one pattern."""
    if facts.scan.n == 1:
        yield Caution(
            code="single-pattern",
            text="training and solving need overlapping patterns, and this scan has only one; a "
            "model trained on another scan can reconstruct it (ptycho infer)",
        )


def little_overlap(facts: ScanFacts) -> Iterator[Caution]:
    """Doubt positions whose neighbours overlap little or not at all."""
    found = facts.overlap
    if found is None or found.fraction >= USUAL_OVERLAP:
        return
    measured = {"step": found.step, "diameter": found.diameter, "fraction": found.fraction}
    if found.fraction > 0:
        yield Caution(
            code="little-overlap",
            text=f"neighbouring patterns overlap by only {found.fraction:.0%}; "
            f"{USUAL_OVERLAP:.0%} or more is usual",
            measured=measured,
        )
        return
    yield Caution(
        code="no-overlap",
        text="neighbouring patterns must overlap for training and solving, but positions are "
        f"{found.step:.6g} pixels apart and the probe is {found.diameter:.1f} pixels wide; check "
        "that xcoords and ycoords are in object pixels. If they are, a model trained on a denser "
        "scan can reconstruct this one (ptycho infer)",
        measured=measured,
    )


def object_too_large(facts: ScanFacts) -> Iterator[Caution]:
    """Refuse positions so far apart that the object does not fit into memory."""
    needed, present = object_memory(facts.scan.positions, facts.scan.N), machine_memory()
    if needed <= present:
        return
    width, height = (np.ptp(facts.scan.positions, axis=0) + facts.scan.N).tolist()
    yield Caution(
        code="object-too-large",
        text=f"the object of {width:.6g} x {height:.6g} pixels needs {needed / 2**30:.3g} GiB, but "
        f"this machine has {present / 2**30:.3g} GiB; check that xcoords and ycoords are in object "
        "pixels and have no outliers",
        measured={"width": width, "height": height, "needed_bytes": needed},
        fatal=True,
    )
