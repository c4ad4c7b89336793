"""The flat, mutable dictionary of older callers: `cfg`, `get` and `set`.

``update_legacy_dict(params.cfg, config)`` is its only writer; it is initially empty. The dictionary
is that of `ptycho_config.params`, the same for every backend of the process.
"""

from ptycho_config.params import cfg, get, set  # noqa: A004  # the name older callers use

__all__ = ["cfg", "get", "set"]
