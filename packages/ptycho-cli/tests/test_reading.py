import click
import pytest
from click.testing import CliRunner
from ptycho_cli.reading import reading_options
from ptycho_cli.sections import Command


@pytest.fixture
def command():
    @click.command(cls=Command)
    @reading_options("Pixels")
    def show(**values):
        click.echo(values)

    return show


def test_options_are_those_of_load_scan(command, tmp_path):
    other = tmp_path / "other.h5"
    other.touch()
    arguments = ["--domain", "counts", "--companion", str(other), "--pixel-size-m", "1e-8"]
    done = CliRunner().invoke(command, arguments)
    assert done.output.strip() == str(
        {"domain": "counts", "companion": other, "pixel_size_m": 1e-8}
    )
    nothing = {"domain": None, "companion": None, "pixel_size_m": None}
    assert CliRunner().invoke(command).output.strip() == str(nothing)


@pytest.mark.parametrize(
    "wrong", [("--domain", "phase"), ("--companion", "gone.h5"), ("--pixel-size-m", "0")]
)
def test_wrong_values_are_wrong_usage(command, wrong):
    assert CliRunner().invoke(command, wrong).exit_code == 2


def test_help_has_the_sections(command):
    words = CliRunner().invoke(command, "--help").output.split()
    names = ["Input:", "--domain", "--companion", "Pixels:", "--pixel-size-m", "General:"]
    assert sorted(names, key=words.index) == names
