"""Check that PyTorch is installed; if not, name the command that installs it."""

from importlib.util import find_spec

from ptycho_config.errors import MissingPackageError
from ptycho_config.install import SOURCE, install_command

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
            f"the PyTorch backend needs {' and '.join(missing)}, which is not installed; "
            f"install it {SOURCE}: {install_command('ptycho-torch')}"
        )
        raise MissingPackageError(msg)
