"""The command that installs a package of this project.

The packages are on no index. In a clone, ``make wheels`` builds them into the folder ``dist``,
where pip finds them; everything else it takes from the index, in the tested versions.
"""

__all__ = ["SOURCE", "install_command"]

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
