"""A trained network that reconstructs scans without a training.

The package holds one bundle, with a card that tells what it was trained on and what not to expect
of it. It is registered under the entry point group ``ptycho.models``, where `ptycho_core` finds it
by the name ``universal``.
"""

from pathlib import Path

from ptycho_pretrained.__about__ import __version__

__all__ = ["UNIVERSAL", "__version__"]

UNIVERSAL = Path(__file__).with_name("universal")
"""Folder of the bundle ``wts.h5.zip``, of its SHA-256 in ``SHA256SUMS`` and of ``card.md``."""
