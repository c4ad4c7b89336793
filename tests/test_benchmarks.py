"""The benchmark programs keep running, and say where their figures were taken."""

import json
import runpy
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"
PROGRAMS = sorted(FOLDER.glob("bench_*.py"))
SLOW = {"bench_backends", "bench_batch", "bench_startup", "bench_uncertainty"}


@pytest.fixture
def program_runs(monkeypatch):
    """Run a program in this process, where PyTorch is loaded once for all of them."""
    monkeypatch.syspath_prepend(str(FOLDER))

    def run(program, *arguments):
        monkeypatch.setattr(sys, "argv", [str(program), *map(str, arguments)])
        runpy.run_path(str(program), run_name="__main__")

    return run


@pytest.mark.parametrize(
    "program",
    [
        pytest.param(path, marks=pytest.mark.slow if path.stem in SLOW else (), id=path.stem)
        for path in PROGRAMS
    ],
)
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
    printed, results = capsys.readouterr().out.splitlines(), list(record["results"])
    assert [line.split(": ")[1] for line in printed[: len(results)]] == results
    assert all(line.startswith("|") for line in printed[len(results) :])  # a table at the end


def test_parity_is_a_table_that_keeps_its_tolerance(program_runs, tmp_path, capsys):
    output = tmp_path / "parity.json"
    with pytest.raises(SystemExit) as ended:
        program_runs(FOLDER / "parity.py", "--only", "NumPy,PyTorch", "--output", output)
    assert not ended.value.code
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "| function | NumPy | PyTorch |"
    record = json.loads(output.read_text("utf-8"))
    assert record["machine"]["versions"]
    assert [line.split("|")[1].strip() for line in lines[2:-2]] == list(record["results"])
    assert record["results"]["propagate"]["PyTorch"]["float64"]["gradient"] < 1e-10


@pytest.mark.slow
def test_no_caution_fires_without_a_cause(program_runs, tmp_path):
    output = tmp_path / "cautions.json"
    with pytest.raises(SystemExit) as ended:
        program_runs(FOLDER / "cautions.py", "--only", "matrix", "--output", output)
    record = json.loads(output.read_text("utf-8"))
    assert [case for case in record["fired"] if case["without_cause"]] == []
    assert len(record["fired"]) == 40
    assert not ended.value.code


@pytest.mark.slow
def test_a_source_that_returns_leaves_the_stream_as_it_was(program_runs, tmp_path):
    words = ("--only", "source", "--patterns", 120, "--rate", 40)
    with pytest.raises(SystemExit) as ended:
        program_runs(FOLDER / "stream_faults.py", "-o", tmp_path, *words)
    assert not ended.value.code


def test_the_table_names_every_program():
    readme = (FOLDER / "README.md").read_text("utf-8")
    others = (FOLDER / name for name in ("parity.py", "real_data.py", "cautions.py"))
    programs = [*PROGRAMS, *others]
    assert PROGRAMS
    assert [path.name for path in programs if f"`{path.name}`" not in readme] == []
