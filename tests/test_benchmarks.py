"""The benchmark programs keep running, and say where their figures were taken."""

import json
import runpy
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"
PROGRAMS = sorted(FOLDER.glob("bench_*.py"))


@pytest.fixture
def program_runs(monkeypatch):
    """Run a program in this process, where PyTorch is loaded once for all of them."""
    monkeypatch.syspath_prepend(str(FOLDER))

    def run(program, *arguments):
        monkeypatch.setattr(sys, "argv", [str(program), *map(str, arguments)])
        runpy.run_path(str(program), run_name="__main__")

    return run


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_program_runs_and_writes_its_figures(program, program_runs, tmp_path, capsys):
    output = tmp_path / "new" / "figures.json"
    program_runs(program, "--quick", "--threads", 1, "--output", output)
    record = json.loads(output.read_text("utf-8"))
    assert record["benchmark"] == program.stem.removeprefix("bench_")
    assert record["machine"]["cores"] >= 1
    assert record["machine"]["versions"]
    assert record["threads"] == 1
    assert record["quick"]
    assert record["results"]
    assert all(result["median_s"] > 0 for result in record["results"].values())
    printed = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[1] for line in printed] == list(record["results"])


def test_the_table_names_every_program():
    readme = (FOLDER / "README.md").read_text("utf-8")
    programs = [*PROGRAMS, FOLDER / "real_data.py"]
    assert PROGRAMS
    assert [path.name for path in programs if f"`{path.name}`" not in readme] == []
