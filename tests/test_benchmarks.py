"""The benchmark programs keep running, and say where their figures were taken."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAMS = sorted((Path(__file__).parents[1] / "benchmarks").glob("bench_*.py"))


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_program_runs_and_writes_its_figures(program, tmp_path):
    output = tmp_path / "new" / "figures.json"
    subprocess.run(  # noqa: S603  our own interpreter
        [sys.executable, str(program), "--quick", "--output", str(output)], check=True
    )
    record = json.loads(output.read_text("utf-8"))
    assert record["benchmark"] == program.stem.removeprefix("bench_")
    assert record["machine"]["cores"] >= 1
    assert record["machine"]["versions"]
    assert record["results"]
    assert all(result["median_s"] > 0 for result in record["results"].values())


def test_the_table_names_every_program():
    readme = (Path(__file__).parents[1] / "benchmarks" / "README.md").read_text("utf-8")
    assert PROGRAMS
    assert [path.name for path in PROGRAMS if f"`{path.name}`" not in readme] == []
