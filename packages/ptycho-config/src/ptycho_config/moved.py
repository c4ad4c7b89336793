"""Names that went elsewhere: one table per package, behind its modules' ``__getattr__``.

A package makes one `MovedNames`. Names that mean the same today still work, with a
DeprecationWarning; all others raise an ImportError that names the successor. Whole modules that
went are found by an import hook, so that they need no file.
"""

import sys
from collections.abc import Callable, Mapping
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pkgutil import resolve_name
from types import ModuleType
from typing import Any

from ptycho_config.aliases import warn_deprecated
from ptycho_config.errors import PtychoError

__all__ = ["MovedError", "MovedNames"]


class MovedError(PtychoError, ImportError):
    """A name that no longer exists; the message says what to use."""


class MovedNames(MetaPathFinder, Loader):
    """The names of a package that went elsewhere.

    Parameters
    ----------
    renamed
        Old dotted name to the dotted name that stands for it today.
    gone
        Old dotted name, of a module or of a name in one, to what does its work today.

    Examples
    --------
    In a module that lost names: ``__getattr__ = MOVED.in_module(__name__)``.
    """

    def __init__(self, renamed: Mapping[str, str], gone: Mapping[str, tuple[str, ...]]) -> None:
        self.renamed, self.gone = renamed, gone
        self._modules = {name.rpartition(".")[0] for name in (*renamed, *gone)}

    def install(self) -> None:
        """Let whole modules be found; modules that have a file win."""
        sys.meta_path.append(self)

    def in_module(self, module: str) -> Callable[[str], Any]:
        """Return the ``__getattr__`` of a module.

        Raises
        ------
        MovedError
            An ImportError, from the function returned: the name is gone.
        """

        def get(name: str) -> Any:
            old = f"{module}.{name}"
            self._refuse(old)
            if old not in self.renamed:
                raise AttributeError(f"module {module!r} has no attribute {name!r}")
            warn_deprecated(old, self.renamed[old])
            return resolve_name(self.renamed[old])

        return get

    def _refuse(self, name: str) -> None:
        if name in self.gone:
            use = " or ".join(self.gone[name])
            raise MovedError(f"{name} is gone: use {use}, see docs/migration.md", name=name)

    def find_spec(
        self,
        fullname: str,
        path: object = None,  # noqa: ARG002  of every such hook
        target: object = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        """Find a module that has no file but is in the table."""
        known = fullname in self.gone or fullname in self._modules
        return ModuleSpec(fullname, self) if known else None

    def create_module(self, spec: ModuleSpec) -> None:
        """Refuse a module that is gone; of any other, Python makes an empty one."""
        self._refuse(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Give a module its names."""
        module.__getattr__ = self.in_module(module.__name__)  # type: ignore[method-assign]  # PEP 562
