"""The page on files of instruments: its example runs as printed, its recipes are recipes."""

import re
import tomllib
from pathlib import Path

import pytest
from ptycho_cli.main import main
from ptycho_core.preparing.recipe import recipe_from, settings
from ptycho_data.raw import LAYOUTS

PAGE = (Path(__file__).parents[1] / "docs/your-file.md").read_text("utf-8")


def blocks(kind):
    return re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("number", range(len(blocks("toml"))))
def test_recipes_are_valid(number):
    recipe_from(tomllib.loads(blocks("toml")[number]))


def test_every_layout_has_a_recipe_and_every_setting_of_a_step_its_option():
    named = {recipe_from(tomllib.loads(text)).layout for text in blocks("toml")}
    assert {layout.name for layout in LAYOUTS} <= named | {"nexus"}
    told = PAGE + " --layout --particle --domain"
    missing = {setting.flag for setting in settings() if setting.flag not in told}
    assert missing - {"--find-bad", "--domain"} == set()


def lines_of(text):
    """Lines without their numbers, which depend on the machine, and without the trials."""
    kept = (line for line in text.splitlines() if " / " not in line or "frames" in line)
    return [re.sub(r"[-+]?\d[\d.]*", "#", line).rstrip() for line in kept]


def test_the_example_prints_what_the_page_shows(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    simulate, prepare, *_ = (block.strip().split()[1:] for block in blocks("sh"))
    assert main([*simulate, "-q"]) == 0
    exec(compile(blocks("python")[0], "your-file.md", "exec"), {})  # noqa: S102 - our own page
    capsys.readouterr()
    assert main([*prepare, "-q"]) == 0
    printed = capsys.readouterr().out
    assert lines_of(printed) == lines_of(blocks("text")[0])
    assert "--flip-x, or its twin --flip-y" in printed
    assert Path("scan_0042.png").read_bytes().startswith(b"\x89PNG")
    assert recipe_from(tomllib.loads(Path("beamline.toml").read_text())).flip_x
