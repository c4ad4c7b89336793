"""Command lines of existing scripts: flags made from the settings, and how errors are shown.

A compatibility layer. ``ptycho train`` and ``ptycho infer`` are the current commands.
"""

import argparse
import logging
import sys
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from ptycho_config import OptionSpec, PtychoError, current_flags, option_specs, resolve_alias
from ptycho_config.log_format import PlainFormatter
from ptycho_config.options import parse_number
from ptycho_config.plain_text import printable
from ptycho_physics import DivergenceError

INTERRUPTED = 130

#: Other names that scripts use for a setting.
OTHER_NAMES: Mapping[str, tuple[str, ...]] = {
    "n_groups": ("--n_images",),
    "nepochs": ("--max_epochs",),
    "accum_steps": ("--accumulate-grad-batches",),
    "checkpoint_monitor_metric": ("--checkpoint-monitor",),
    "logger_backend": ("--logger",),
    "test_data_file": ("--test_data",),
}

#: Deprecated flags, and how many values each takes.
DEPRECATED: Mapping[str, int | None] = {"device": None, "disable_mlflow": 0}


class Parser(argparse.ArgumentParser):
    """A parser with a flag for each setting; it returns only the settings that are given.

    Parameters
    ----------
    module
        Module that ``python -m`` runs.
    description
        Text above the help.
    classes
        Configuration classes whose settings become flags, in both spellings: ``--n_groups`` and
        ``--n-groups``. Execution settings are ``--num-workers``; with underscores they warn.
    skip
        Settings that get no flag.
    required
        Settings that must be given.
    """

    def __init__(
        self,
        module: str,
        description: str | None,
        classes: Sequence[type],
        *,
        skip: Collection[str] = (),
        required: Collection[str] = (),
    ) -> None:
        super().__init__(
            prog=f"python -m {module}",
            description=description,
            argument_default=argparse.SUPPRESS,
            allow_abbrev=False,
        )
        for cls in classes:
            specs = [spec for spec in option_specs(cls) if spec.name not in skip]
            group = self.add_argument_group(specs[0].group)
            for spec in specs:
                self._add(group, spec, spec.name in required)
        old = self.add_argument_group("Deprecated")
        for name, count in DEPRECATED.items():
            kind: dict[str, Any] = {"action": "store_const", "const": True} if count == 0 else {}
            old.add_argument(
                f"--{name}",
                **kind,
                help=f"Use {'--accelerator' if name == 'device' else '--logger none'}.",
            )
        self.add_argument("--quiet", action="store_true", default=False, help="Warnings only.")

    def _add(self, group: Any, spec: OptionSpec, required: bool) -> None:
        text = spec.help.replace("%", "%%")
        if spec.type is bool:
            for flag, value in zip(spec.flags, spec.flag_values, strict=True):
                flags = _spellings(flag, spec)
                if spec.name == "enable_checkpointing" and value is False:
                    flags.append("--disable-checkpointing")
                group.add_argument(
                    *flags, dest=spec.name, action="store_const", const=value, help=text
                )
            return
        choices = [str(choice) for choice in spec.choices if isinstance(choice, str)]
        group.add_argument(
            *_spellings(spec.flags[0], spec),
            *OTHER_NAMES.get(spec.name, ()),
            dest=spec.name,
            type=_reader(spec),
            required=required,
            help=text,
            **({"choices": choices} if choices and not spec.optional else {"metavar": "VALUE"}),
        )

    def parse(self, arguments: Sequence[str] | None) -> dict[str, Any]:
        """Parse, and return the given settings; current flags override deprecated ones."""
        words = sys.argv[1:] if arguments is None else list(arguments)
        flags = [flag for action in self._actions for flag in action.option_strings]
        options = vars(self.parse_args(current_flags(words, flags)))
        for name in [name for name in options if name in DEPRECATED]:
            field, value = resolve_alias(name, options.pop(name), shown_as=f"--{name}")
            if options.setdefault(field, value) != value:
                used = f"{field} {options[field]}"
                sys.stderr.write(f"{self.prog}: warning: --{name} contradicts {used}, the latter "
                                 "is used\n")  # fmt: skip
        return options


def _spellings(flag: str, spec: OptionSpec) -> list[str]:
    """Return a flag in the spelling of scripts: with underscores, except for execution settings."""
    old = "--" + flag.removeprefix("--").replace("-", "_")
    return [flag] if spec.group == "Execution" or old == flag else [old, flag]


def _reader(spec: OptionSpec) -> Callable[[str], object]:
    def read(text: str) -> object:
        if spec.optional and text.lower() == "none":
            return None
        if not text:
            raise ValueError(f"{spec.rule} expected")
        return parse_number(spec.type, text) if spec.type in (int, float) else spec.type(text)

    read.__name__ = spec.type.__name__  # argparse shows it
    return read


def _plain_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    line: str | None = None,
) -> str:
    """Replace `warnings.formatwarning`: names in a message may come from anywhere."""
    del line
    return f"{filename}:{lineno}: {category.__name__}: {printable(str(message))}\n"


def run(
    work: Callable[[dict[str, Any]], None], parser: Parser, arguments: Sequence[str] | None
) -> int:
    """Parse, run, and turn errors for people into one line and an exit code.

    Returns
    -------
    int
        0, 1 when the work failed, 130 when it was interrupted; wrong usage exits with 2.
    """
    # Python shows deprecations only where __main__ itself triggers them: users must see ours.
    warnings.filterwarnings("default", category=DeprecationWarning, module="ptycho_torch")
    warnings.formatwarning = _plain_warning
    options = parser.parse(arguments)
    quiet = options.pop("quiet")
    options.setdefault("enable_progress_bar", not quiet)
    handler = logging.StreamHandler()
    handler.setFormatter(PlainFormatter("%(message)s"))
    logging.basicConfig(level=logging.WARNING if quiet else logging.INFO, handlers=[handler])
    try:
        work(options)
    except KeyboardInterrupt as interrupt:
        sys.stderr.write(f"{interrupt or 'interrupted'}\n")
        return INTERRUPTED
    except (PtychoError, OSError, DivergenceError) as error:
        sys.stderr.write(f"{parser.prog}: error: {error}\n")
        return 1
    return 0
