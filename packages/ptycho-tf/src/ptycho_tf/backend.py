"""The TensorFlow backend for the registry of `ptycho_core.backends`; imports no framework."""

from ptycho_core.backends import Backend

__all__ = ["BACKEND"]

BACKEND = Backend(
    name="tensorflow",
    package="ptycho_tf",
    framework="tensorflow",
    extra="tf",
    several_scans=True,
    live_page=True,
    moving_positions=True,
    one_process=True,
)
