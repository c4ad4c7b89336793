"""The PyTorch backend for the registry of `ptycho_core.backends`; imports no framework."""

from ptycho_core.backends import Backend

__all__ = ["BACKEND"]

BACKEND = Backend(
    name="pytorch",
    package="ptycho_torch",
    framework="torch",
    companions=("lightning",),
    extra="torch",
    several_scans=True,
    moving_positions=True,
    several_devices=True,
    live_reconstruction=True,
    solver_arrays=True,
    live_page=True,
    exported_kinds=("onnx", "pt2"),
)
