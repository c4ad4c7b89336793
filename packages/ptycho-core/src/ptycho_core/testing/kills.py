"""Kill trainings at any moment, resume them, and compare the bits of their results.

    python -m ptycho_core.testing.kills pytorch --kills 100 --seed 0

A training runs in a forked process, which is killed before one of its changes of files, or after
some time. It is resumed, killed again, and at last ends. Its weights, losses and checkpoints must
be those of a training that nobody disturbed. Trainings that replace an earlier one may also end
as that one, if they were killed before they had saved anything.
"""

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from attrs import define, field, frozen
from ptycho_config import ModelConfig, PyTorchExecutionConfig, TrainingConfig
from ptycho_config.errors import MissingFileError
from ptycho_data import load_bundle

from ptycho_core.backends import require
from ptycho_core.testing import simulated_scan

__all__ = ["Campaign", "main"]

#: Events of the interpreter that change files, and the position of the path among their arguments.
CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "shutil.rmtree")
NOTHING_TO_RESUME = 3
EPOCHS = 3
SCAN = simulated_scan()


@frozen
class Moment:
    """When a training is killed: before a change of a file, or after some seconds; or never."""

    change: int = 0
    seconds: float = 0.0


def watch(folder: Path, moment: Moment) -> Callable[[], int]:
    """Count the changes of files in a folder, and end the process at a moment."""
    inside, count = os.fspath(folder), 0

    def changed(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        if event == "open":
            path, flags = arguments[0], arguments[2] or 0
            if not flags & (os.O_WRONLY | os.O_RDWR):
                return
        elif event in CHANGES:
            path = arguments[0]
        else:
            return
        # rmtree names the files in a folder without it
        relative = isinstance(path, str) and not path.startswith("/")
        if relative or str(path).startswith(inside):
            count += 1
            if count == moment.change:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(changed)
    if moment.seconds:
        signal.setitimer(signal.ITIMER_REAL, moment.seconds)  # SIGALRM ends the process
    return lambda: count


@define
class Campaign:
    """Trainings with one backend that are killed.

    Attributes
    ----------
    backend : str
        Name of the backend.
    architecture : str
        Name of the network.
    work : Path
        Folder to work in.
    kills : int
        Trainings killed so far.
    again : int
        Those of them that had been killed and resumed before.
    ends : dict
        How the trainings ended, and how many of them.
    failures : list of str
        What should not have happened.
    """

    backend: str
    architecture: str
    work: Path
    kills: int = 0
    again: int = 0
    ends: dict[str, int] = field(factory=dict)
    failures: list[str] = field(factory=list)

    def train(
        self, folder: Path, *, seed: int = 0, moment: Moment | None = None, **how: bool
    ) -> int:
        """Train in a forked process; return its exit code, negative for a signal."""
        sys.stdout.flush()
        if child := os.fork():
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        code = 1
        try:
            with (self.work / "log.txt").open("a") as log:
                os.dup2(log.fileno(), 1)
                os.dup2(log.fileno(), 2)
            changes = watch(folder, moment or Moment())
            config = TrainingConfig(
                model=ModelConfig(architecture=self.architecture, n_filters_scale=1),
                backend=self.backend,
                nepochs=EPOCHS,
                n_groups=16,
                batch_size=8,
                seed=seed,
            )
            execution = PyTorchExecutionConfig(learning_rate=2e-3, checkpoint_save_top_k=1)
            require(self.backend).train(SCAN, config, execution, output=folder, **how)
            (self.work / "changes.txt").write_text(str(changes()))
            code = 0
        except MissingFileError:
            code = NOTHING_TO_RESUME
        except BaseException:  # a forked process must not return
            traceback.print_exc()
        finally:
            os._exit(code)

    def run(self, kills: int, seed: int) -> None:
        """Kill trainings until there are enough of them."""
        rng = np.random.default_rng(seed)
        old, new = self.work / "old", self.work / "new"
        for folder, number in ((old, 1), (new, 0)):
            start = time.perf_counter()
            if self.train(folder, seed=number):
                raise RuntimeError((self.work / "log.txt").read_text())
        seconds, changes = (
            time.perf_counter() - start,
            int((self.work / "changes.txt").read_text()),
        )
        results = {"old": result(old), "new": result(new)}
        order = list(rng.permutation(np.arange(1, changes + 1)))

        def moment() -> Moment:
            if rng.random() < 0.3:
                return Moment(seconds=rng.uniform(0.3, 1) * seconds)
            if not order:
                order.extend(rng.permutation(np.arange(1, changes + 1)))
            return Moment(change=int(order.pop()))

        while self.kills < kills:
            folder = self.work / "killed"
            shutil.rmtree(folder, ignore_errors=True)
            replaces = bool(rng.random() < 0.5)
            if replaces:
                shutil.copytree(old, folder)
            moments = [moment()]
            code = self.train(folder, moment=moments[0], overwrite=replaces)
            self.kills += code < 0
            while code < 0 and rng.random() < 0.6:
                moments.append(moment())
                code = self._resume(folder, moments[-1])
                self.kills += code < 0
                self.again += code < 0
            if code < 0:
                code = self._resume(folder, Moment())
            self._judge(folder, code, moments, results, replaces=replaces)

    def _resume(self, folder: Path, moment: Moment) -> int:
        """Resume, or begin again where nothing was saved."""
        code = self.train(folder, moment=moment, resume=True)
        if code == NOTHING_TO_RESUME:
            code = self.train(folder, moment=moment, overwrite=True)
        return code

    def _judge(
        self,
        folder: Path,
        code: int,
        moments: list[Moment],
        results: dict[str, dict[str, Any]],
        *,
        replaces: bool,
    ) -> None:
        found = result(folder) if code == 0 else {}
        ends = {name: different(one, found) for name, one in results.items()}
        end = next((name for name, differ in ends.items() if not differ), f"code {code}")
        self.ends[end] = self.ends.get(end, 0) + 1
        if end != "new" and not (replaces and end == "old"):
            log = (self.work / "log.txt").read_text()[-2000:] if code else ""
            what = f"killed at {moments}" + (", replacing another" if replaces else "")
            self.failures.append(f"{what}: {end}; {ends if not code else ''}{log}")


def result(folder: Path) -> dict[str, Any]:
    """Return what a training leaves: weights, losses, and the names of its checkpoints."""
    bundle = load_bundle(folder / "wts.h5.zip")
    places = ("checkpoints", "checkpoints.old", ".")
    files = [p.name for place in places for p in (folder / place).glob("*") if p.name != "logs"]
    hidden = [p.name for p in folder.rglob(".ptycho-*")]
    return {**bundle.weights, "history": bundle.history, "files": sorted([*files, *hidden])}


def different(wanted: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """Return what differs between two results, by the bits of their arrays."""
    names = wanted.keys() | found.keys()
    pairs: dict[str, list[Any]] = {k: [wanted.get(k), found.get(k)] for k in names}
    differ = {name for name, pair in pairs.items() if not np.array_equal(*pair)}
    return {name: "other bits" if "." in name else found.get(name) for name in differ}


def main() -> None:
    """Run a campaign, and print what came of it as JSON; the exit code tells of failures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("backend")
    parser.add_argument("--architecture", default="cnn", help="network, also as module:Class")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    door = require(options.backend)
    for module in ("training", "reconstruction"):  # loaded once, before any process is forked
        __import__(f"{door.package}.{module}")
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="ptycho-kills-") as work:
        campaign = Campaign(options.backend, options.architecture, Path(work))
        campaign.run(options.kills, options.seed)
    record = {
        "backend": options.backend,
        "kills": campaign.kills,
        "kills of resumed trainings": campaign.again,
        "ends": campaign.ends,
        "failures": campaign.failures,
        "seconds": round(time.perf_counter() - start, 1),
    }
    sys.stdout.write(json.dumps(record, indent=2) + "\n")
    sys.exit(bool(campaign.failures))


if __name__ == "__main__":
    main()
