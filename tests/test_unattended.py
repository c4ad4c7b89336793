"""The page on unattended work: its example runs as printed."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from ptycho_cli.main import main
from ptycho_core.exit_codes import EXIT_CODES

PAGE = (Path(__file__).parents[1] / "docs/unattended.md").read_text("utf-8")


def blocks(kind):
    return re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)


def lines_of(text):
    """Lines without times and figures, which depend on the machine."""
    return [re.sub(r"\d[-\d.:TZ]*", "#", line).rstrip() for line in text.splitlines()]


@pytest.mark.skipif(sys.platform == "win32", reason="the page is for a POSIX shell")
def test_the_example_prints_what_the_page_shows(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for shell, printed in zip(blocks("sh")[:2], blocks("text")[:2], strict=True):
        capsys.readouterr()
        for line in shell.strip().splitlines():
            if line.startswith("ptycho "):
                main([*shlex.split(line)[1:], "-q"])
            else:
                subprocess.run(line, shell=True, check=True)  # noqa: S602 - our own page
        shown = [line for line in capsys.readouterr().out.splitlines() if "photons per" not in line]
        assert lines_of("\n".join(shown)) == lines_of(printed)


@pytest.mark.skipif(sys.platform == "win32", reason="the page is for a POSIX shell")
def test_the_example_of_many_scans_prints_what_the_page_shows(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    first = next(n for n, block in enumerate(blocks("sh")) if block.startswith("mkdir scans"))
    tables = [text for text in blocks("text") if text.startswith("scan ")]
    codes = []
    for shell, printed in zip(blocks("sh")[first : first + 2], tables, strict=True):
        capsys.readouterr()
        for line in shell.strip().splitlines():
            if line.startswith("ptycho "):
                codes.append(main([*shlex.split(line)[1:], "-q"]))
            else:
                subprocess.run(line, shell=True, check=True)  # noqa: S602 - our own page
        shown = [line for line in capsys.readouterr().out.splitlines() if "photons per" not in line]
        assert [line.split() for line in lines_of("\n".join(shown))] == [
            line.split() for line in lines_of(printed)
        ]
    assert codes == [0, 0, 1, 0]


def test_the_table_of_exit_codes_is_that_of_the_command():
    table = dict(re.findall(r"^\| (\d+) \| ([^|]+?) \|", PAGE, re.MULTILINE))
    assert list(map(int, table)) == list(EXIT_CODES)
    for code, meaning in EXIT_CODES.items():
        assert table[str(code)].startswith(meaning)
