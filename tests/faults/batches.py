"""Batches of scans that are killed again and again: no scan is lost, none is done twice."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen
from calls import Answer
from judge import RIGHT, Verdict
from samples import Samples
from scenes import hidden, parts
from watches import changed

WHOLE, BROKEN = 4, 1
#: Times that one batch is killed.
KILLS = 4
MANY = ("in/*.npz", "-o", "out", "--skip-done", "--keep-going", "--no-pictures", "--json")


@frozen
class _Batch:
    """The command on many scans of one seed, and the server that runs it."""

    samples: Samples
    backend: str

    @property
    def argv(self) -> tuple[str, ...]:
        if self.backend == "none":
            return ("reconstruct", *MANY, "--epochs", "2")
        return ("infer", str(self.samples.model(self.backend)), *MANY)

    def run(self, folder: Path, **limits: Any) -> Answer:
        server = self.samples.server(self.backend)
        return server.call(self.argv, folder, watched=str(folder), seconds=120, **limits)

    def fill(self, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "in").mkdir(parents=True)
        for number in range(WHOLE):
            scan = self.samples.star() if number % 2 else self.samples.other_star()
            shutil.copy(scan, folder / "in" / f"scan_{number}.npz")
        for number in range(WHOLE, WHOLE + BROKEN):
            half = self.samples.star().read_bytes()[:30_000]
            (folder / "in" / f"scan_{number}.npz").write_bytes(half)

    def undisturbed(self, folder: Path) -> tuple[int, float]:
        """Run it once; returns how many changes of files it makes, and its seconds."""
        if not (folder / "answer.json").exists():
            self.fill(folder)
            answer = self.run(folder)
            if answer.code != 1:  # one scan is broken
                raise RuntimeError(f"the batch fails undisturbed: {answer.err}")
            (folder / "answer.json").write_text(json.dumps([answer.changes, answer.wall_s]))
        changes, seconds = json.loads((folder / "answer.json").read_text())
        return changes, seconds


def run(
    samples: Samples, seed: int, work: Path, backends: tuple[str, ...] = (), only: str = ""
) -> tuple[str, Verdict]:
    """Kill the batch of a seed some times, let it end, and look at what there is."""
    del only  # as `kills.run`
    able = ("none", *backends)
    batch = _Batch(samples, able[seed % len(able)])
    rng = np.random.default_rng([22, seed])
    folder, whole = work / "batch", work / f"batch-whole-{batch.backend}"
    changes, seconds = batch.undisturbed(whole)
    batch.fill(folder)
    first: dict[str, bytes] = {}
    moments: list[dict[str, float]] = []
    killed = 0
    while len(moments) < KILLS:
        if rng.random() < 0.7:
            moments.append({"kill_at": int(rng.integers(1, changes // 2))})
        else:
            moments.append({"kill_after_s": float(rng.uniform(0.02, seconds / 2))})
        answer = batch.run(folder, **moments[-1])
        killed += answer.killed == "kill"
        label = f"kill | batch {batch.argv[0]}, {moments}, {killed} killed | seed {seed}"
        if not answer.killed and answer.code != 1:
            return label, ("other end", f"{answer.code}: {answer.err[-300:]}")
        if twice := changed(folder, first):
            return label, ("done twice", str(twice))
    answer = batch.run(folder)
    if answer.code != 1:
        return label, ("other end", f"{answer.code}: {answer.err[-300:]}")
    if twice := changed(folder, first):
        return label, ("done twice", str(twice))
    return label, _judge(folder, whole, answer)


def _judge(folder: Path, whole: Path, answer: Answer) -> Verdict:
    lines = [json.loads(line) for line in answer.out.splitlines()]
    ends = {line["name"]: line["state"] for line in lines}
    wanted = {f"scan_{n}": {"done", "skipped"} for n in range(WHOLE)}
    wanted |= {f"scan_{n}": {"failed"} for n in range(WHOLE, WHOLE + BROKEN)}
    if ends.keys() != wanted.keys() or any(ends[name] not in wanted[name] for name in ends):
        return "other states", str(ends)
    for number in range(WHOLE):
        name = f"out/scan_{number}"
        if parts(folder / name) != parts(whole / name):
            return "other bits", name
    # A batch killed between a result and the release of its lock leaves the file, which locks
    # nothing and goes with the next writer.
    if left := [name for name in hidden(folder) if not name.endswith("/.ptycho-lock")]:
        return "leftover", str(left)
    return RIGHT, ""
