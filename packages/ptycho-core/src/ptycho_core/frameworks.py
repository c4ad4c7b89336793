"""Say how to install a framework where a backend is imported without it.

A backend is a package that can be imported and listed without its framework; most of its modules
cannot. `explain_missing` makes the import of each of them end in one error that names the command,
so that no module has to check for itself.
"""

import sys
from collections.abc import Collection, Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import find_spec
from types import ModuleType

from ptycho_config.errors import MissingPackageError

__all__ = ["explain_missing"]


def explain_missing(package: str, needs: Collection[str], advice: str) -> None:
    """Raise `MissingPackageError` for modules of a package that need what is not installed.

    Call it in the ``__init__`` of the package. It applies to the imports at the top of its modules,
    and leaves errors of a framework that is installed but broken as they are.

    Parameters
    ----------
    package
        Import name of the package.
    needs
        Import names of the frameworks.
    advice
        How to install them.
    """
    if not any(isinstance(f, _Finder) and f.package == package for f in sys.meta_path):
        sys.meta_path.insert(0, _Finder(package, needs, advice))


class _Finder:
    """Finds the modules of a package where they are, with a loader that explains."""

    def __init__(self, package: str, needs: Collection[str], advice: str) -> None:
        self.package = package
        self.needs = needs
        self.advice = advice

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not name.startswith(f"{self.package}."):
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and type(spec.loader) is SourceFileLoader:
            spec.loader = _Loader(spec.loader.name, spec.loader.path, self)
        return spec

    def explained(self, missing: str) -> MissingPackageError:
        names = [name for name in self.needs if name == missing or find_spec(name) is None]
        verb = "is" if len(names) == 1 else "are"
        needed = f"{self.package} needs {' and '.join(names)}, which {verb} not installed"
        return MissingPackageError(f"{needed}: {self.advice}")


class _Loader(SourceFileLoader):
    def __init__(self, name: str, path: str, finder: _Finder) -> None:
        super().__init__(name, path)
        self.finder = finder

    def exec_module(self, module: ModuleType) -> None:
        try:
            super().exec_module(module)
        except ModuleNotFoundError as error:
            if error.name is None or error.name not in self.finder.needs:
                raise
            raise self.finder.explained(error.name) from None
