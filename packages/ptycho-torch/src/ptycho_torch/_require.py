"""Check that PyTorch is installed; if not, name the command that installs it."""

from importlib.util import find_spec

from ptycho_config.errors import MissingPackageError

__all__ = ["require_torch"]


def require_torch() -> None:
    """Check that PyTorch and Lightning are installed, without importing them.

    Raises
    ------
    MissingPackageError
        If one of them is not; the message gives the command that installs it.
    """
    missing = [name for name in ("torch", "lightning") if find_spec(name) is None]
    if missing:
        msg = (
            f"the PyTorch backend needs {' and '.join(missing)}, which is not installed: "
            f"run `pip install {' '.join(missing)}`"
        )
        raise MissingPackageError(msg)
