"""The flat, mutable dictionary of older callers: one per process.

It is initially empty: otherwise defaults could be mistaken for the configuration in use. New code
passes configurations as arguments and never reads it.
"""

from collections.abc import Iterable
from typing import Any

from ptycho_config.errors import InvalidValueError, describe
from ptycho_config.legacy import LEGACY_KEYS, update_legacy_dict

__all__ = ["cfg", "get", "populate_legacy_params", "set"]

#: Legacy key to value. Callers may add their own keys.
cfg: dict[str, Any] = {}

_SHOWN_CONFLICTS = 4


def get(key: str) -> Any:
    """Read one value.

    Parameters
    ----------
    key : str
        A key of `cfg`: a legacy key, or one that a caller has set.

    Raises
    ------
    KeyError
        If it is missing, with a suggestion.
    """
    if key not in cfg:
        raise KeyError(_absent(key))
    return cfg[key]


def set(key: str, value: object) -> None:  # noqa: A001  # the name older callers use
    """Write one value.

    Parameters
    ----------
    key : str
        A legacy key, or any other name.
    value : object
        Its value. It is not checked, and no configuration changes with it.
    """
    cfg[key] = value


def populate_legacy_params(config: object, force: bool = False) -> None:
    """Write a configuration into `cfg`.

    Older code keeps values that it has read: a second, different configuration in one process would
    lead to a mixture of both. It is refused unless `force` is set; writing the same values again is
    allowed.

    Parameters
    ----------
    config : ModelConfig, TrainingConfig or InferenceConfig
        As for `update_legacy_dict`. Keys that are not in it keep their values.
    force : bool
        Replace existing values.

    Raises
    ------
    InvalidValueError
        If `cfg` holds other values and `force` is not set; nothing is written then.
    TypeError
        If `config` has no field with a legacy key, like execution settings.
    """
    new: dict[str, Any] = {}
    update_legacy_dict(new, config)
    conflicts = [
        f"{key} is {describe(cfg[key])}, not {describe(value)}"
        for key, value in new.items()
        if key in cfg and cfg[key] != value
    ]
    if conflicts and not force:
        more = len(conflicts) - _SHOWN_CONFLICTS
        listed = ", ".join(conflicts[:_SHOWN_CONFLICTS]) + (f", {more} more" if more > 0 else "")
        raise InvalidValueError(
            "params.cfg",
            "filled from one configuration",
            f"another one than it holds ({listed})",
            "pass force=True to replace it",
        )
    update_legacy_dict(cfg, config)


def _absent(key: object) -> str:
    """Explain why a key has no value: nothing was written yet, or another name was meant."""
    if key in LEGACY_KEYS.values():
        return f"{key} has no value yet: update_legacy_dict(params.cfg, config) writes it"
    name = key if isinstance(key, str) else describe(key)
    meant = LEGACY_KEYS.get(name) or _nearest(name, (*LEGACY_KEYS.values(), *cfg))
    return f"{name} is no key of params.cfg" + (f", did you mean {meant}?" if meant else "")


def _nearest(name: str, keys: Iterable[str]) -> str | None:
    from difflib import get_close_matches  # needed for errors only

    return next(iter(get_close_matches(name, keys, n=1)), None)
