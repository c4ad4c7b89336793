"""The page on long runs of the solver: its examples run one after the other."""

import json
import re
import shlex
from pathlib import Path

from ptycho_cli.main import main

PAGE = (Path(__file__).parents[1] / "docs/solver-runs.md").read_text("utf-8")


def test_the_examples_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    lines = "".join(re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)).splitlines()
    for line in lines:
        assert main(shlex.split(line)[1:]) == 0, line
    cold, warm, night = (
        json.loads((tmp_path / name / "metrics.json").read_text())
        for name in ("result", "better", "night")
    )
    assert warm["r_factors"][0] < cold["r_factors"][-1] < 0.5 * cold["r_factors"][0]
    assert night["stopped"] == "epochs"
    capsys.readouterr()
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(code, "solver-runs.md", "exec"), {})  # noqa: S102 - our own page
    assert capsys.readouterr().out == "epochs 2\n"
