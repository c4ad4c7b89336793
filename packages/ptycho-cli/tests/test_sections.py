import click
from click.testing import CliRunner
from ptycho_cli.console import State, current_state
from ptycho_cli.sections import Command, section
from ptycho_core.threads import threads_in_use


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


@click.command(cls=Command, basic="a c")
@section("First")("--a", help="About a.")
@section("First")("--b", help="About b.")
@section("Second")("--c", help="About c.")
def large(**_: object) -> None:
    """Do much."""


def test_help_shows_what_a_beginner_needs_and_names_the_rest():
    text = CliRunner().invoke(large, ["--help"]).output
    assert "About a." in text
    assert "About c." in text
    assert "About b." not in text
    assert "--debug" not in text
    assert "6 more options: large --help-all" in text


def test_help_all_shows_every_option():
    result = CliRunner().invoke(large, ["--help-all"])
    assert result.exit_code == 0
    for name in ("--a", "--b", "--c", "--debug", "--quiet", "--help"):
        assert name in result.output
    assert "more options" not in result.output


def test_a_short_command_has_one_help():
    result = CliRunner().invoke(command, ["--help-all"])
    assert result.exit_code == 2


def test_common_options_reach_the_state():
    run = CliRunner().invoke
    assert run(command, []).output == "None None 0 False\n"
    assert run(command, ["-vv", "--debug", "--a", "1"]).output == "1 None 2 True\n"
    assert run(command, ["-q"]).output == "None None -1 False\n"


def test_threads_are_set_for_libraries_that_are_loaded_later(monkeypatch):
    for name in ("OMP", "MKL", "OPENBLAS"):
        monkeypatch.setenv(f"{name}_NUM_THREADS", "1")
    for name in ("INTRA", "INTER"):
        monkeypatch.setenv(f"TF_NUM_{name}OP_THREADS", "1")
    assert CliRunner().invoke(command, ["--threads", "3"]).exit_code == 0
    assert threads_in_use() == 3
    for wrong in ("0", "1025", "1.5", "many"):
        assert CliRunner().invoke(command, ["--threads", wrong]).exit_code == 2
    assert threads_in_use() == 3


def test_options_before_the_command_count_too():
    group = click.Group("group", commands={"command": command}, params=[])
    result = CliRunner().invoke(group, ["command"], obj=State(verbosity=1))
    assert result.output == "None None 1 False\n"
