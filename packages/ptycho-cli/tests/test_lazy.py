import click
import pytest
from ptycho_cli.lazy import LazyGroup
from ptycho_cli.main import COMMANDS, cli


def test_every_listed_command_exists():
    ctx = click.Context(cli)
    assert cli.list_commands(ctx) == list(COMMANDS)
    for name in COMMANDS:
        assert isinstance(cli.get_command(ctx, name), click.Command)


def test_unknown_command_is_none():
    assert cli.get_command(click.Context(cli), "nothing") is None


def test_something_else_is_refused():
    group = LazyGroup(name="x", lazy={"bad": ("ptycho_cli.main:main", "Not a command.")})
    with pytest.raises(TypeError, match="not a click command"):
        group.get_command(click.Context(group), "bad")
