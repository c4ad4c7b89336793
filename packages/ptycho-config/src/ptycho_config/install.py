"""The command that installs a package of this project.

The packages are on no index. In a clone, ``make wheels`` builds them into the folder ``dist``,
where pip finds them; everything else it takes from the index, in the tested versions.
"""

from importlib.util import find_spec

from ptycho_config.errors import MissingPackageError

__all__ = ["SOURCE", "install_command", "require_package"]

#: Where the command is run and takes our packages from; it follows the verb in a message.
SOURCE = "in a clone of the project"


def install_command(requirement: str) -> str:
    """Return the command, for the top folder of a clone, that installs a package of ours.

    Parameters
    ----------
    requirement
        Name of the package, with the extras that are wanted.
    """
    return f'make wheels && pip install -c constraints.txt --find-links dist "{requirement}"'


def require_package(module: str, what: str, requirement: str, *, package: str = "") -> None:
    """Check that a package is installed, without importing it.

    Parameters
    ----------
    module
        What it is imported as.
    what
        What needs it, in the plural, for the message.
    requirement
        The package of ours, with the extra that brings it.
    package
        Its name, where it is not that of the module.

    Raises
    ------
    MissingPackageError
        It is not; the message has the pip command.
    """
    if find_spec(module) is None:
        raise MissingPackageError(
            f"{what} need the package {package or module}; install it {SOURCE}: "
            + install_command(requirement)
        )
