import inspect

import click
import pytest
from click.testing import CliRunner
from ptycho_cli.reading import given_reading, reading_options
from ptycho_cli.sections import Command
from ptycho_data import load_scan


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
    given = {
        "domain": "counts",
        "companion": other,
        "negative": "clip",
        "follow_links": True,
        "pixel_size_m": 1e-8,
        "photon_energy_ev": 9e3,
        "detector_distance_m": 2.0,
        "detector_pixel_size_m": 7.5e-5,
        "particle": "electron",
    }
    words = []
    for name, value in given.items():
        words += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
    assert CliRunner().invoke(command, words).output.strip() == str(given)
    assert CliRunner().invoke(command).output.strip() == str(dict.fromkeys(given))
    assert given.keys() <= inspect.signature(load_scan).parameters.keys()
    assert given_reading(given | {"particle": None, "other": 1}).keys() == given.keys() - {
        "domain",
        "companion",
        "particle",
    }


@pytest.mark.parametrize(
    "wrong", [("--domain", "phase"), ("--companion", "gone.h5"), ("--pixel-size-m", "0")]
)
def test_wrong_values_are_wrong_usage(command, wrong):
    assert CliRunner().invoke(command, wrong).exit_code == 2


def test_help_has_the_sections(command):
    words = CliRunner().invoke(command, "--help").output.split()
    names = ["Input:", "--domain", "--companion", "Pixels:", "--pixel-size-m", "General:"]
    assert sorted(names, key=words.index) == names
