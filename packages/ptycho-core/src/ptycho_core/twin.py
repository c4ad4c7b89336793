"""The twin of a reconstruction whose probe was refined.

Conjugate object and probe, and turn both by 180 degrees about the centre of the scan: the patterns
are the same, since the Fourier transform of ``conj(f(-r))`` is the conjugate of that of ``f``. The
probe then has the other sign of defocus, the phase of the object is inverted, and both signs of the
positions are flipped. No pattern tells the two apart, so whoever knows neither the probe nor the
signs may get either, equally sharp.
"""

import logging

__all__ = ["note_twin"]

log = logging.getLogger(__name__)


def note_twin() -> None:
    """Log how to tell a reconstruction with a refined probe from its twin."""
    log.info(
        "the probe was refined: a twin turned by 180 degrees, with inverted phase and the other "
        "sign of defocus, explains the patterns equally well; docs/real-data.md says how to decide"
    )
