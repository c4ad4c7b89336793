import click
from click.testing import CliRunner
from ptycho_cli.console import State, current_state
from ptycho_cli.sections import Command, section


@click.command(cls=Command)
@section("Second")("--b", help="About b.")
@section("First")("--a", help="About a.")
def command(a: str | None, b: str | None) -> None:
    state = current_state()
    click.echo(f"{a} {b} {state.verbosity} {state.debug}")


def test_help_has_sections_in_order_of_the_options_general_last():
    text = CliRunner().invoke(command, ["--help"]).output
    titles = [line[:-1] for line in text.splitlines() if line.endswith(":") and line[0] != " "]
    assert titles == ["Second", "First", "General"]
    assert text.index("Second:") < text.index("About b.") < text.index("First:")


def test_common_options_reach_the_state():
    run = CliRunner().invoke
    assert run(command, []).output == "None None 0 False\n"
    assert run(command, ["-vv", "--debug", "--a", "1"]).output == "1 None 2 True\n"
    assert run(command, ["-q"]).output == "None None -1 False\n"


def test_options_before_the_command_count_too():
    group = click.Group("group", commands={"command": command}, params=[])
    result = CliRunner().invoke(group, ["command"], obj=State(verbosity=1))
    assert result.output == "None None 1 False\n"
