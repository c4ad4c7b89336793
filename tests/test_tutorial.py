"""The tutorial does what it says: every command and every example of it, in order."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

TUTORIAL = (Path(__file__).parents[1] / "docs" / "tutorial.md").read_text("utf-8")
BLOCKS = re.findall(r"```(bash|python)\n(.*?)```", TUTORIAL, re.DOTALL)
COMMANDS = [
    ("bash", line)
    for kind, text in BLOCKS
    if kind == "bash"
    for line in text.replace("\\\n", " ").splitlines()
]
EXAMPLES = [(kind, text) for kind, text in BLOCKS if kind == "python"]
# One thread: two small machines that share their cores are slower with more.
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder in which the reader of the tutorial works."""
    return tmp_path_factory.mktemp("tutorial")


def run(kind, text, folder):
    if kind == "bash":
        program, *arguments = shlex.split(text)
        assert program == "ptycho"
        command = [sys.executable, "-m", "ptycho_cli", *arguments]
    else:
        command = [sys.executable, "-c", text]
    done = subprocess.run(  # noqa: S603  our own interpreter, our own page
        command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"
    warned = [line for line in done.stderr.lower().splitlines() if "warning" in line]
    if text.startswith("ptycho infer model"):  # the page explains it: the network is hardly trained
        warned = [line for line in warned if "times that of photon noise alone" not in line]
    assert not warned, done.stderr
    return done.stdout


def number_after(word, text):
    return float(re.search(rf"{word}\s+([0-9.]+)", text)[1])


@pytest.fixture(scope="module")
def outputs(folder):
    """What every step printed, in the order of the page."""
    return {text: run(kind, text, folder) for kind, text in COMMANDS + EXAMPLES}


def output_of(outputs, beginning):
    return next(text for command, text in outputs.items() if command.startswith(beginning))


def test_every_step_runs(outputs):
    assert len(COMMANDS) >= 7
    assert len(EXAMPLES) == 2
    assert all(outputs.values())  # nothing here ends without a word


@pytest.mark.usefixtures("outputs")
def test_every_file_named_in_the_text_exists(folder):
    text = re.sub(r"```.*?```", "", TUTORIAL, flags=re.DOTALL)
    named = set(re.findall(r"`([\w/.-]+\.(?:npz|png|json|h5|zip))`", text))
    assert len(named) >= 10
    assert [name for name in named if not list(folder.rglob(name))] == []


def test_scan_is_as_described(outputs):
    stated = re.search(r"overlap \((\d+) % here\)", TUTORIAL)[1]
    assert f"{stated}%" in output_of(outputs, "ptycho inspect")


def test_quality_is_as_described(outputs):
    network = number_after("complex correlation", output_of(outputs, "ptycho evaluate result"))
    solver = number_after("complex correlation", output_of(outputs, "ptycho evaluate solved"))
    assert 0.99 < network < solver
    assert solver > 0.999
    again = number_after("correlation with objectGuess", output_of(outputs, "ptycho infer model o"))
    assert again > 0.95


def test_python_gives_what_the_command_gives(outputs):
    with_solver, with_network = (
        next(text for example, text in outputs.items() if call in example)
        for call in ("solve(", "train(")
    )
    solved = number_after("R-factor", with_solver)
    trained = number_after("R-factor", with_network)
    assert solved < 0.1
    assert trained < 0.3
