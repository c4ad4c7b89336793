"""``reconstruct --overwrite`` and ``infer --overwrite`` killed: the old results or the new ones."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import h5py
import pytest
from ptycho_core.outputs import RECONSTRUCTION_FILES
from ptycho_core.testing import FakeBackend, registered
from ptycho_data import RECONSTRUCTION_SET, load_reconstruction, read_set

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")

#: Imports everything once; each line of its input is a command, which a forked process runs.
SERVER = """
import contextlib, json, os, sys
from ptycho_cli.main import main
from ptycho_core.testing import FakeBackend, registered

sys.stderr = open(os.devnull, "w")
with registered(FakeBackend(name="pytorch", extra="torch")):
    main(json.loads(sys.argv[1]))
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            with contextlib.redirect_stdout(sys.stderr):
                os._exit(main(json.loads(line)))
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Server:
    """Runs commands in processes that can be killed."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def start(self, argv: list[str]) -> int:
        """Start a command and return its process."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(argv) + "\n")
        self.process.stdin.flush()
        return self._number()

    def code(self) -> int:
        """Wait for the end of the command."""
        return self._number()

    def _number(self) -> int:
        assert self.process.stdout is not None
        return int(self.process.stdout.readline())


@contextlib.contextmanager
def serving(first: list[str]) -> Iterator[Server]:
    with subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-c", SERVER, json.dumps(first)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            process.stdout.readline()  # the summary of the first command: all is imported
            yield Server(process)
        finally:
            process.kill()


def begun(folder: Path) -> bool:
    """Tell whether a result is being written."""
    return any(name != ".ptycho-lock" for name in hidden(folder))


def complete(folder: Path) -> bool:
    """Tell whether a result is about to be put in its place."""
    manifests = (folder / name / "SHA256SUMS" for name in hidden(folder))
    return any(os.path.exists(path) for path in manifests)  # noqa: PTH110 - in a hurry


def committed(folder: Path) -> bool:
    """Tell whether a result is being put in its place."""
    return os.path.exists(folder / ".ptycho-commit")  # noqa: PTH110 - in a hurry


def hidden(folder: Path) -> list[str]:
    return [name for name in os.listdir(folder) if name.startswith(".ptycho-")]  # noqa: PTH208


#: What is waited for before a kill, and for how long after it at most, in seconds.
MOMENTS = ((begun, 0.4), (complete, 0.004), (committed, 0.002), (complete, 0.001))


def kill(process: int, folder: Path, chance: random.Random) -> None:
    """Kill a command at a moment of its writing."""
    moment, most = chance.choice(MOMENTS)
    give_up = time.monotonic() + 60
    while not moment(folder) and time.monotonic() < give_up:
        with contextlib.suppress(ChildProcessError):
            if not Path(f"/proc/{process}").exists() and sys.platform == "linux":
                return
    time.sleep(chance.uniform(0, most))
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)


def version(folder: Path, setting: str) -> int:
    """Read every file that says which run it is of; return that run."""
    place = read_set(folder, RECONSTRUCTION_SET)
    found = set()
    with h5py.File(folder / "product.h5") as file:
        runs = [json.loads(file.attrs["run"])]
    rec = load_reconstruction(folder)
    assert rec.run is not None
    runs += [rec.run, json.loads((folder / "run.json").read_text("utf-8"))]
    for run in runs:
        found.add(run["configuration"][setting])
    metrics = json.loads((folder / "metrics.json").read_text("utf-8"))
    assert metrics["r_factor"] == runs[-1]["r_factor"]
    assert place.exists()
    (number,) = found
    return int(number)


COMMANDS = {
    "reconstruct": (["reconstruct", "SCAN"], "epochs", "--epochs"),
    "infer": (["infer", "MODEL", "SCAN"], "n_groups", "--n-groups"),
}


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("kills", [3, pytest.param(60, marks=pytest.mark.slow)])
def test_results_are_old_or_new_whenever_the_command_is_killed(
    ptycho, scan_file, tmp_path, name, kills
):
    words, setting, option = COMMANDS[name]
    with registered(FakeBackend(name="pytorch", extra="torch")):
        assert ptycho("train", scan_file, "-o", tmp_path / "model", "-q").code == 0
    places = {"SCAN": str(scan_file), "MODEL": str(tmp_path / "model")}
    words = [places.get(word, word) for word in words]
    folder, chance = tmp_path / "out", random.Random(f"{name} {kills}")  # noqa: S311 - no secret

    def argv(number: int) -> list[str]:
        return [*words, "-o", str(folder), option, str(number), "--overwrite", "--verbose"]

    seen = []
    with serving(argv(1)) as server:
        old = 1
        for number in range(kills):
            new = 2 + number % 2
            process = server.start(argv(new))
            kill(process, folder, chance)
            code = server.code()
            found = version(folder, setting)
            assert found in (old, new)
            seen.append((code, found == new))
            old = found
        assert server.start(argv(1))
        assert server.code() == 0
    assert version(folder, setting) == 1
    assert {path.name for path in folder.iterdir()} == set(RECONSTRUCTION_FILES)
    assert sum(code == -signal.SIGKILL for code, _ in seen) >= kills // 3
