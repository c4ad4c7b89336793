"""Scans as tasks of a cluster: submitit's local executor, and its scripts for Slurm."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ptycho_cli.cluster.arguments import Submitted
from ptycho_cli.cluster.states import HIDDEN, Board
from ptycho_cli.cluster.tasks import Task
from ptycho_cli.main import main
from ptycho_core.batch import Job
from ptycho_data import load_bundle, load_reconstruction

LOCAL = ["--cluster", "local", "--parallel", "2"]
SOLVE = ["reconstruct", "--epochs", "1", "--no-pictures"]


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """Return a folder with two scans."""
    folder = tmp_path_factory.mktemp("scans")
    for number in (1, 2):
        size = ["--n-patterns", "20", "--size", "80", "--seed", str(number), "-q"]
        assert main(["simulate", "-o", str(folder / f"scan_{number}.npz"), *size]) == 0
    return folder


def run(*words):
    """Run the command; return its exit code, and what it wrote to both outputs."""
    done = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "ptycho_cli", *map(str, words)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def states(folder):
    lines = run("jobs", folder, "--json")[1].splitlines()
    return {line["name"]: line for line in map(json.loads, lines)}


def ended(folder, seconds=240):
    """Wait until all tasks have ended."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = states(folder)
        if not {entry["state"] for entry in found.values()} & {"waiting", "running"}:
            return found
        time.sleep(0.2)
    raise TimeoutError(found)


def masked(text):
    """Leave out what differs from run to run: numbers of processes, times."""
    return re.sub(r" *[0-9][0-9.]*", " #", text)


def test_the_page_and_what_a_repeated_submission_adds(tmp_path):
    page = (Path(__file__).parents[1] / "docs" / "clusters.md").read_text("utf-8")
    block, printed = re.findall(r"```sh\n(mkdir .*?)```\n\n```text\n(.*?)```", page, re.DOTALL)[0]
    ours = f'ptycho() {{ "{sys.executable}" -m ptycho_cli "$@"; }}\n'
    done = subprocess.run(  # noqa: S603 - our own page
        ["/bin/bash", "-c", ours + block],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    shown = done.stdout[done.stdout.index("solved: ") :].replace(f"{tmp_path}/", "")
    assert re.sub(r" +", " ", masked(shown)) == re.sub(r" +", " ", masked(printed))
    solved, scans = tmp_path / "solved", tmp_path / "scans"
    found = states(solved)
    assert found["a"]["attempts"] == 1
    assert found["c"]["attempts"] == 2  # the retry
    assert len(load_reconstruction(solved / "b").indices) == 60
    (scans / "c.npz").write_bytes((scans / "a.npz").read_bytes())  # mended
    command = ["--", "reconstruct", scans / "*.npz", "--epochs", "20"]
    submit = ["submit", "-o", solved, *LOCAL, "--wait", *command]
    code, printed, _ = run(*submit)
    assert code == 0
    assert "1 of 3 scans submitted" in printed
    assert "nothing to submit" in run(*submit)[1]
    (tmp_path / "later").mkdir()
    (tmp_path / "later" / "a.npz").write_bytes((scans / "b.npz").read_bytes())
    code, _, error = run(*submit[:-3], tmp_path / "later" / "a.npz")
    assert code == 1
    assert "names of the results must be different" in error


def test_several_scans_of_one_task_keep_their_names(scans, tmp_path):
    submit = ["submit", "-o", tmp_path, *LOCAL, "--parallel", "1", "--name", "day_{stem}", "--wait"]
    assert run(*submit, "--", *SOLVE, scans / "*.npz")[0] == 0
    found = states(tmp_path)
    assert list(found) == ["day_scan_1", "day_scan_2"]
    assert len({entry["task"] for entry in found.values()}) == 1
    for name, entry in found.items():
        assert entry["metrics"]["r_factor"] > 0
        assert (tmp_path / name / "reconstruction.npz").is_file()


@pytest.mark.slow
def test_a_task_whose_time_ends_goes_on_in_the_queue(scans, tmp_path):
    words = ["train", scans / "scan_1.npz", "--n-filters-scale", "1", "--nepochs", "40"]
    assert run("submit", "-o", tmp_path, *LOCAL, "--retries", "2", "--", *words)[0] == 0
    checkpoints = tmp_path / "scan_1" / "checkpoints"
    deadline = time.monotonic() + 240
    while not list(checkpoints.glob("*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    (entry,) = states(tmp_path).values()
    os.kill(entry["process"], signal.SIGUSR2)  # as the cluster does before the end of the time
    (entry,) = ended(tmp_path).values()
    assert entry["state"] == "done"
    assert entry["attempts"] == 2
    assert len(load_bundle(tmp_path / "scan_1").history["train_loss"]) == 40
    assert "interrupted" in Path(entry["log"]).read_text("utf-8")


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="Linux lists children there")
def test_a_task_that_is_killed_is_lost_and_submitted_again(scans, tmp_path):
    words = ["reconstruct", scans / "scan_1.npz", "--epochs", "5000", "--no-pictures"]
    assert run("submit", "-o", tmp_path, *LOCAL, "--", *words)[0] == 0
    deadline = time.monotonic() + 240
    while "process" not in (entry := states(tmp_path)["scan_1"]):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    inside = Path(f"/proc/{entry['process']}/task/{entry['process']}/children")
    for process in [entry["process"], *map(int, inside.read_text("ascii").split())]:
        os.kill(process, signal.SIGKILL)
    assert ended(tmp_path)["scan_1"]["state"] == "lost"
    assert run("jobs", tmp_path)[0] == 1
    again = ["reconstruct", scans / "scan_1.npz", "--epochs", "1", "--no-pictures"]
    assert run("submit", "-o", tmp_path, *LOCAL, "--wait", "--", *again)[0] == 0


def test_the_script_for_slurm(scans, tmp_path, monkeypatch):
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sbatch", "srun"):
        tool = tools / name
        tool.write_text(f'#!/bin/sh\ncp "$1" "{tmp_path}/script"\necho Submitted batch job 4711\n')
        tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    asked = ["--parallel", "1", "--time", "30", "--cores", "4", "--gpus", "1", "--memory", "16"]
    queue = ["--slurm", "account=beamline", "--slurm", "partition=gpu"]
    out = tmp_path / "out"
    words = ["submit", "-o", out, *asked, *queue, "--", *SOLVE, scans / "*.npz"]
    assert run(*words)[0] == 0
    script = (tmp_path / "script").read_text("utf-8").splitlines()
    lines = {line.removeprefix("#SBATCH --") for line in script if line.startswith("#SBATCH")}
    assert {
        "array=0-1%1",
        "time=30",
        "cpus-per-task=4",
        "gpus-per-node=1",
        "mem=16GB",
        "account=beamline",
        "partition=gpu",
        "signal=USR2@90",
    } <= lines
    found = states(out)
    assert {name: entry["state"] for name, entry in found.items()} == {
        "scan_1": "waiting",
        "scan_2": "waiting",
    }
    assert found["scan_2"]["task"] == "4711_1"
    assert "nothing to submit" in run(*words)[1]  # they wait
    sacct = tools / "sacct"
    answer = "JobID|State|NodeList\\n4711_0|NODE_FAIL|n1\\n4711_1|RUNNING|n2\\n"
    sacct.write_text(f"#!/bin/sh\nprintf '{answer}'\n")
    sacct.chmod(0o755)
    assert [entry["state"] for entry in states(out).values()] == ["lost", "waiting"]
    assert "1 of 2 scans submitted" in run(*words)[1]


def test_a_task_whose_scans_are_all_done_has_nothing_to_do(tmp_path):
    """As when its time ends between the last result and its own end."""
    job = Job(name="a", inputs=(tmp_path / "a.npz",), output=tmp_path / "a")
    (tmp_path / HIDDEN / "states").mkdir(parents=True)
    Board(tmp_path).note("a", "done")
    submitted = Submitted(command="reconstruct", arguments=(), jobs=[job])
    assert Task(output=tmp_path, submitted=submitted, jobs=[job])() == {}


@pytest.mark.parametrize(
    "words",
    [
        ["--", "evaluate", "{scan}"],
        ["--", "reconstruct", "{scan}", "--skip-done"],
        ["--", "reconstruct", "{scan}", "-o", "elsewhere"],
        ["--", "reconstruct", "{scan}", "--epochs", "0"],
        ["--", "reconstruct", "missing.npz"],
        ["--", "reconstruct", "{scan}", "{scan}"],
        ["--slurm", "account", "--", "reconstruct", "{scan}"],
        ["--slurm", "a\nb=c", "--", "reconstruct", "{scan}"],
        ["--scans-per-task", "2", "--name", "{number}", "--", "reconstruct", "{scan}"],
    ],
)
def test_what_cannot_be_submitted_is_wrong_usage(scans, tmp_path, words):
    filled = [word.replace("{scan}", str(scans / "scan_1.npz")) for word in words]
    assert run("submit", "-o", tmp_path / "out", *filled)[0] == 2
    assert not (tmp_path / "out").exists()


def test_a_folder_without_submission(tmp_path):
    code, _, error = run("jobs", tmp_path)
    assert code == 1
    assert "must be the output folder of a submission" in error
