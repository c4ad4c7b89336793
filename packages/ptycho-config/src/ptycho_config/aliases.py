"""Deprecated names: each maps to its successor with a DeprecationWarning."""

import sys
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType

import attrs


def _same(value: object) -> object:
    return value


def _logger_of(disabled: object) -> object:
    """Logger for ``disable_mlflow``; other values are passed on for the check to report."""
    return {True: "none", False: "csv"}[disabled] if isinstance(disabled, bool) else disabled


#: Packages that pass on what callers give: warnings are attributed to the first frame outside.
_OURS = frozenset(
    {"ptycho", "ptycho_config", "ptycho_core", "ptycho_data", "ptycho_tf", "ptycho_torch"}
)


@attrs.frozen(eq=False)
class Alias:
    """A deprecated name of a setting.

    Attributes
    ----------
    target : str
        Field that replaces it.
    convert : callable
        Function that converts the old value to that of the field.
    """

    target: str
    convert: Callable[[object], object] = _same


DEPRECATED_ALIASES: Mapping[str, Alias] = MappingProxyType(
    {
        "n_images": Alias("n_groups"),
        "device": Alias("accelerator"),
        "imagined_batches": Alias("synthetic_batches"),
        "disable_mlflow": Alias("logger_backend", _logger_of),
    }
)

#: Names of settings in earlier versions that are not accepted, for the hint: the values differ.
FORMER_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "K": "neighbor_count",
        "epochs": "nepochs",
        "grid_size": "gridsize",
        "max_epochs": "nepochs",
        "mode": "model_type",
        "nll": "nll_weight",
    }
)


def resolve_alias(name: str, value: object, shown_as: str | None = None) -> tuple[str, object]:
    """Replace a deprecated name and its value by the current ones.

    Parameters
    ----------
    name : str
        A key of `DEPRECATED_ALIASES`.
    value : object
        Its value.
    shown_as : str, optional
        How the user wrote it, for the warning: ``--device``.

    Returns
    -------
    tuple of (str, object)
        Field and value.

    Warns
    -----
    DeprecationWarning
        Attributed to the first caller outside these packages, so that Python's default filters
        report each calling line once.
    """
    alias = DEPRECATED_ALIASES[name]
    new = alias.convert(value)
    hint = alias.target if new is value else f"{alias.target} = {new!r}"
    warn_deprecated(shown_as or name, hint)
    return alias.target, new


def current_flags(args: Sequence[str], known: Collection[str]) -> list[str]:
    """Replace deprecated flags among command line arguments.

    Parameters
    ----------
    args : sequence of str
        Arguments as typed. Those after ``--`` are unchanged.
    known : collection of str
        Flags of the command. Only other flags are replaced, and only by one of these:
        a deprecated name (``--device``), or another spelling (``--batch_size`` for
        ``--batch-size``).

    Returns
    -------
    list of str
        Arguments in the command's own words.

    Warns
    -----
    DeprecationWarning
        For each flag that was replaced.
    """
    spelled = {_in_kebab_case(flag): flag for flag in known}
    end = args.index("--") if "--" in args else len(args)
    words: list[str] = []
    for arg in args[:end]:
        flag, equals, value = arg.partition("=")
        if not flag.startswith("--") or flag in known:
            words.append(arg)
            continue
        current, *more = _current_flag(flag, spelled)
        words += [f"{current}{equals}{value}", *more]
    return [*words, *args[end:]]


def _current_flag(flag: str, spelled: Mapping[str, str]) -> list[str]:
    """Name the flag to use, and the value that it implies, if any."""
    plain = _in_kebab_case(flag)
    if plain in spelled:
        if "_" in flag:
            warn_deprecated(flag, spelled[plain])
        return [spelled[plain]]
    name = plain.removeprefix("--").replace("-", "_")
    target = DEPRECATED_ALIASES[name].target if name in DEPRECATED_ALIASES else ""
    if _in_kebab_case(f"--{target}") not in spelled:
        return [flag]
    _, implied = resolve_alias(
        name, True, shown_as=flag
    )  # True is the value of a flag without argument
    return [spelled[_in_kebab_case(f"--{target}")], *([] if implied is True else [str(implied)])]


def _in_kebab_case(flag: str) -> str:
    return flag.replace("_", "-")


def warn_deprecated(old: str, new: str) -> None:
    """Warn of an old name, where a caller outside these packages wrote it."""
    warnings.warn(
        f"{old} is deprecated, use {new}", DeprecationWarning, stacklevel=_levels_to_caller()
    )


def _levels_to_caller() -> int:
    level, frame = 1, sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in _OURS:
        level, frame = level + 1, frame.f_back
    return level
