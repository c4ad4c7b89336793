"""Tasks of a cluster job: runs of their own, or processes of one run."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from ptycho_cli.main import main
from ptycho_data import folder_lock, load_bundle

PTYCHO = [sys.executable, "-m", "ptycho_cli"]
SMALL = ["--nepochs", "1", "--n-filters-scale", "1", "--batch-size", "8", "--seed", "3"]
NAMES = ("RANK", "LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def task(number, *, of, nodes=1):
    """Return what `srun` sets for one of its tasks; the first node has all of them."""
    return {
        "SLURM_JOB_ID": "4711",
        "SLURM_JOB_NAME": "farm",
        "SLURM_NNODES": str(nodes),
        "SLURM_NODELIST": "127.0.0.1",
        "SLURM_NTASKS": str(of),
        "SLURM_STEP_NUM_TASKS": str(of),
        "SLURM_PROCID": str(number),
        "SLURM_LOCALID": str(number),
        "SLURM_NODEID": "0",
    }


def clean(**more):
    """Return this environment without what launchers set, on one thread, and more."""
    kept = {k: v for k, v in os.environ.items() if k not in NAMES and not k.startswith("SLURM_")}
    return {**kept, "OMP_NUM_THREADS": "1", **more}


def start(*arguments, env):
    command = [*map(str, arguments)]
    return subprocess.Popen(  # noqa: S603 - our own command
        command, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def finish(*processes):
    """Wait for processes of one run; return what each wrote to standard error."""
    ends = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), ends
    return [error for _, error in ends]


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    path = tmp_path_factory.mktemp("clusters") / "scan.npz"
    assert main(["simulate", "-o", str(path), "--n-patterns", "60", "--size", "100", "-q"]) == 0
    return path


@pytest.fixture(scope="module")
def farmed(scan):
    """Return what the second task of `srun -n 2 ptycho train` wrote and said."""
    folder = scan.parent / "farmed"
    run = start(*PTYCHO, "train", scan, "-o", folder, *SMALL, env=clean(**task(1, of=2)))
    return folder, finish(run)[0]


def test_a_task_that_trains_on_one_device_is_a_run_of_its_own(farmed):
    folder, said = farmed
    assert load_bundle(folder).history["train_loss"]
    assert (folder / "logs").is_dir()
    assert "epoch 1/1" in said


@pytest.mark.parametrize("launcher", ["srun", "torchrun"])
def test_a_task_that_reconstructs_is_a_run_of_its_own(
    farmed, scan, tmp_path, monkeypatch, capsys, launcher
):
    torchrun = {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "x"}
    for name, value in (task(1, of=2) if launcher == "srun" else torchrun).items():
        monkeypatch.setenv(name, value)
    where = ["-o", str(tmp_path / "result")]
    assert main(["infer", str(farmed[0]), str(scan), *where]) == 0
    assert "R-factor" in capsys.readouterr().out
    assert main(["reconstruct", str(scan), "-o", str(tmp_path / "solved"), "--epochs", "1"]) == 0
    assert "R-factor" in capsys.readouterr().out
    with folder_lock(tmp_path / "result"):  # the first task, which has the same output
        taken = start(*PTYCHO, "infer", *map(str, (farmed[0], scan)), *where, "--overwrite",
                      env=clean(**task(1, of=2)))  # fmt: skip
        _, error = taken.communicate(timeout=300)
    assert taken.returncode == 1, error


@pytest.mark.slow
def test_processes_of_every_launcher_train_alike(scan, tmp_path):
    def weights(name):
        run = json.loads((tmp_path / name / "run.json").read_text("utf-8"))
        assert run["configuration"]["execution"]["devices"] == 2
        return load_bundle(tmp_path / name).weights

    def command(name):
        two = ["--devices", "2", "--accelerator", "cpu"]
        return ["train", scan, "-o", tmp_path / name, *SMALL, *two]

    page = (Path(__file__).parents[1] / "docs" / "clusters.md").read_text("utf-8")
    (words,) = re.findall(
        r"^torchrun (.*) train scan.npz -o model --devices 2$", page, re.MULTILINE
    )
    torchrun = [sys.executable, "-m", "torch.distributed.run", *words.split()]
    finish(start(*PTYCHO, *command("lightning"), env=clean()))
    finish(start(*torchrun, *command("torchrun"), env=clean()))
    per_node = {"SLURM_NTASKS_PER_NODE": "2"}
    tasks = [clean(**task(k, of=2), **per_node) for k in range(2)]
    first, second = finish(*(start(*PTYCHO, *command("srun"), env=env) for env in tasks))
    assert "epoch 1/1" in first
    assert second == ""
    expected = weights("lightning")
    for name in ("torchrun", "srun"):
        found = weights(name)
        assert all((found[key] == expected[key]).all() for key in expected)


@pytest.mark.slow
def test_one_task_starts_the_processes_of_its_devices_itself(farmed, scan, tmp_path):
    two = ["--devices", "2", "--accelerator", "cpu", "--no-pictures"]
    env = clean(**task(0, of=1))
    finish(start(*PTYCHO, "infer", farmed[0], scan, "-o", tmp_path / "two", *two, env=env))
    assert json.loads((tmp_path / "two" / "run.json").read_text("utf-8"))["patterns"] == 60


TWO = ["--devices", "2", "--accelerator", "cpu", "--no-pictures"]


def metrics(folder):
    return json.loads((folder / "metrics.json").read_text("utf-8"))


def test_two_devices_solve_a_scan_together(scan, tmp_path):
    """The first process reports, writes, and goes on alone with the halves of the scan."""
    words = ["reconstruct", scan, "--epochs", "6", "--update-probe", "--refine-positions"]
    (said,) = finish(
        start(*PTYCHO, *words, "-o", tmp_path / "two", *TWO, "--half-scan-frc", env=clean())
    )
    assert main([*map(str, words), "-o", str(tmp_path / "one"), "--no-pictures", "-q"]) == 0
    assert said.count("solving: 6/6") == 1
    together, alone = metrics(tmp_path / "two"), metrics(tmp_path / "one")
    assert together["r_factor"] == pytest.approx(alone["r_factor"], rel=0.05)
    assert together["half_scan_frc"] is not None
    run = json.loads((tmp_path / "two" / "run.json").read_text("utf-8"))
    assert run["configuration"]["devices"] == 2


@pytest.mark.slow
def test_two_devices_choose_are_interrupted_and_resume(scan, tmp_path):
    words = ["reconstruct", scan, "-o", tmp_path / "result", "--auto", *TWO, "--epochs"]
    running = start(*PTYCHO, *words, "100000", env=clean())
    assert running.stderr is not None
    assert any("/100000" in line for line in running.stderr)
    running.send_signal(signal.SIGTERM)
    _, error = running.communicate(timeout=300)
    assert running.returncode == 130, error
    done = len(metrics(tmp_path / "result")["r_factors"])
    finish(start(*PTYCHO, *words, str(done + 3), "--resume", env=clean()))
    assert len(metrics(tmp_path / "result")["r_factors"]) == done + 3


@pytest.mark.slow
def test_a_launcher_starts_the_processes_of_the_solver(scan, tmp_path):
    words = ["reconstruct", scan, "-o", tmp_path / "result", "--epochs", "3", *TWO]
    torchrun = ["torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "ptycho_cli"]
    finish(start(sys.executable, "-m", *torchrun, *words, env=clean()))
    assert len(metrics(tmp_path / "result")["r_factors"]) == 3


def test_the_signal_of_slurm_before_the_end_of_the_time_ends_a_command_cleanly(scan, tmp_path):
    """With ``--signal=USR1@60``: as after Ctrl-C, with what was reached so far."""
    words = ["reconstruct", scan, "-o", tmp_path / "result", "--epochs", "100000",
             "--no-pictures"]  # fmt: skip
    running = start(*PTYCHO, *words, env=clean(**task(0, of=1)))
    assert running.stderr is not None
    assert any("/100000" in line for line in running.stderr)  # it tells how far it is
    running.send_signal(signal.SIGUSR1)
    _, error = running.communicate(timeout=300)
    assert running.returncode == 130, error
    assert "continue with --resume" in error
    assert (tmp_path / "result" / "reconstruction.npz").is_file()


def test_tasks_that_do_not_fit_the_devices_are_refused(scan, tmp_path, monkeypatch, capsys):
    for name, value in task(0, of=4).items():
        monkeypatch.setenv(name, value)
    two = ["--devices", "2", "--accelerator", "cpu"]
    assert main(["train", str(scan), "-o", str(tmp_path / "m"), *SMALL, *two]) == 2
    assert "must be 4, the number of processes that srun started" in capsys.readouterr().err
    assert not (tmp_path / "m").exists()
