"""The packages that the server of a page needs."""

from importlib.util import find_spec

from ptycho_config.errors import MissingPackageError
from ptycho_config.install import SOURCE, install_command

__all__ = ["require_server"]

_NEEDED = ("starlette", "uvicorn")


def require_server() -> None:
    """Refuse to serve a page without them.

    Raises
    ------
    MissingPackageError
        Naming those that are missing, and what to install.
    """
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        command = install_command("ptycho-cli[serve]")
        text = f"the live page needs {' and '.join(missing)}; install it {SOURCE}: {command}"
        raise MissingPackageError(text)
