"""Commands whose help is divided into titled sections, and the options every command has."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import click
from ptycho_core.threads import limit_threads

from ptycho_cli.console import State
from ptycho_cli.values import Whole

__all__ = ["Command", "SectionOption", "common_params", "section"]

GENERAL = "General"

#: In the `meta` of a context: its help shows every option.
HELP_ALL = f"{__name__}.help_all"


class SectionOption(click.Option):
    """Option with the title of its help section."""

    def __init__(self, *args: Any, section: str = GENERAL, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.section = section
        # In the style of the configuration options; the range follows the default.
        if self.metavar is None and isinstance(self.type, click.IntRange | click.FloatRange):
            self.metavar = "INTEGER" if isinstance(self.type, click.IntRange) else "NUMBER"

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return usage and help; defaults in words are shown without click's brackets."""
        record = super().get_help_record(ctx)
        if record is None or not isinstance(self.show_default, str):
            return record
        usage, text = record
        return usage, text.replace(f"({self.show_default})", self.show_default)


def section(title: str) -> Callable[..., Callable[[Any], Any]]:
    """``click.option`` for the help section called ``title``."""
    return partial(click.option, cls=SectionOption, section=title)


def _louder(ctx: click.Context, _param: click.Parameter, value: int) -> None:
    if value:
        ctx.ensure_object(State).verbosity = value


def _quieter(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value:
        ctx.ensure_object(State).verbosity = -1


def _debug(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value:
        ctx.ensure_object(State).debug = True


def _threads(_ctx: click.Context, _param: click.Parameter, value: int | None) -> None:
    if value is not None:
        limit_threads(value)


def common_params() -> list[click.Parameter]:
    """``--threads``, ``-v``, ``-q`` and ``--debug``: before and after the command's name."""
    return [
        SectionOption(
            ["--threads"],
            type=Whole(1, 1024),
            expose_value=False,
            is_eager=True,
            callback=_threads,
            help="Threads of every process.  [default: cores that the process may use]",
        ),
        SectionOption(
            ["-v", "--verbose"],
            count=True,
            expose_value=False,
            is_eager=True,
            callback=_louder,
            help="Say more.",
        ),
        SectionOption(
            ["-q", "--quiet"],
            is_flag=True,
            expose_value=False,
            is_eager=True,
            callback=_quieter,
            help="Warnings and errors only.",
        ),
        SectionOption(
            ["--debug"],
            is_flag=True,
            expose_value=False,
            is_eager=True,
            callback=_debug,
            help="Show the traceback of an error.",
        ),
    ]


def _help_all(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value:
        ctx.meta[HELP_ALL] = True
        click.echo(ctx.get_help(), color=ctx.color)
        ctx.exit()


class Command(click.Command):
    r"""Command with sectioned help and the common options; accepts deprecated flags.

    Parameters
    ----------
    basic
        Names of the options that a beginner needs, with spaces between them. Where they are given,
        ``--help`` shows these alone, and ``--help-all`` all.

    Notes
    -----
    A line ``\b`` in its docstring keeps the lines of the paragraph below it as they are. It may be
    the two characters of a raw docstring.
    """

    def __init__(self, *args: Any, basic: str = "", **kwargs: Any) -> None:
        if kwargs.get("help") is not None:
            kwargs["help"] = re.sub(r"^( *)\\b$", "\\1\b", kwargs["help"], flags=re.MULTILINE)
        super().__init__(*args, **kwargs)
        self.params.extend(common_params())
        self.basic = frozenset(basic.split())
        if self.basic:
            self.params.append(
                SectionOption(
                    ["--help-all"],
                    is_flag=True,
                    expose_value=False,
                    is_eager=True,
                    callback=_help_all,
                    help="Show all options and exit.",
                )
            )

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse, with deprecated flags replaced: ``--batch_size``, ``--n_images``."""
        from ptycho_config import current_flags  # not needed by `ptycho --help`

        flags = [o for param in self.params for o in (*param.opts, *param.secondary_opts)]
        return super().parse_args(ctx, current_flags(args, flags))

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one definition list per section, the general options last."""
        sections: dict[str, list[tuple[str, str]]] = {}
        hidden = 0
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is None or isinstance(param, click.Argument):
                continue
            if not self._shows(param, ctx):
                hidden += 1
                continue
            sections.setdefault(getattr(param, "section", GENERAL), []).append(record)
        general = sections.pop(GENERAL, None)
        if general:
            sections[GENERAL] = general
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)
        if hidden:
            formatter.write_paragraph()
            formatter.write_text(f"{hidden} more options: {ctx.command_path} --help-all")

    def _shows(self, param: click.Parameter, ctx: click.Context) -> bool:
        return not self.basic or HELP_ALL in ctx.meta or param.name in {"help_all", *self.basic}
