"""Watches of a folder that are killed again and again: no scan is lost, none is done twice."""

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from calls import Answer
from judge import RIGHT, Verdict
from samples import Samples
from scenes import hidden, parts

WHOLE, BROKEN = 4, 1
#: Times that one watch is killed; killed more often within one scan, it gives that scan up.
KILLS = 4
CALL = ("watch", "in", "--solver", "--epochs", "1", "-o", "out", "--once", "--settle", "0",
        "--no-pictures")  # fmt: skip


def _watch(samples: Samples, folder: Path, **limits: Any) -> Answer:
    return samples.server().call(CALL, folder, watched=str(folder), seconds=120, **limits)


def _fill(samples: Samples, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "in").mkdir(parents=True)
    for number in range(WHOLE):
        shutil.copy(samples.star(), folder / "in" / f"scan_{number}.npz")
    for number in range(WHOLE, WHOLE + BROKEN):
        half = samples.star().read_bytes()[:30_000]
        (folder / "in" / f"scan_{number}.npz").write_bytes(half)


def run(
    samples: Samples, seed: int, work: Path, backends: tuple[str, ...] = (), only: str = ""
) -> tuple[str, Verdict]:
    """Kill the watch of a seed some times, let it end, and look at what there is."""
    del backends, only  # as `kills.run`
    rng = np.random.default_rng([21, seed])
    folder, whole = work / "watched", work / "watched-whole"
    changes, seconds = _undisturbed(samples, whole)
    _fill(samples, folder)
    killed, first = 0, {}
    for _ in range(KILLS):
        if rng.random() < 0.7:
            moment = {"kill_at": int(rng.integers(1, changes // 2))}
        else:
            moment = {"kill_after_s": float(rng.uniform(0.02, seconds / 2))}
        answer = _watch(samples, folder, **moment)
        killed += answer.killed == "kill"
        label = f"kill | watch, at last {moment}, {killed} in all | seed {seed}"
        if not answer.killed and answer.code not in (0, 1):
            return label, ("other end", f"{answer.code}: {answer.err[-300:]}")
        if twice := changed(folder, first):
            return label, ("done twice", str(twice))
    answer = _watch(samples, folder)
    if answer.code not in (0, 1):
        return label, ("other end", f"{answer.code}: {answer.err[-300:]}")
    if twice := changed(folder, first):
        return label, ("done twice", str(twice))
    return label, _judge(folder, whole)


def _undisturbed(samples: Samples, folder: Path) -> tuple[int, float]:
    """Run the watch once; returns how many changes of files it makes, and its seconds."""
    if not (folder / "answer.json").exists():
        _fill(samples, folder)
        answer = _watch(samples, folder)
        if answer.code != 1:  # one scan is broken
            raise RuntimeError(f"the watch fails undisturbed: {answer.err}")
        (folder / "answer.json").write_text(json.dumps([answer.changes, answer.wall_s]))
    changes, seconds = json.loads((folder / "answer.json").read_text())
    return changes, seconds


def changed(folder: Path, first: dict[str, bytes]) -> list[str]:
    """Return results that are not as they were when they were first seen."""
    seen = {path.parent.name: path.read_bytes() for path in folder.glob("out/*/SHA256SUMS")}
    changed = [name for name, lines in first.items() if seen.get(name) != lines]
    first.update(seen)
    return changed


def _judge(folder: Path, whole: Path) -> Verdict:
    lines = [json.loads(line) for line in (folder / "out/watch.jsonl").read_text().splitlines()]
    ends = Counter((line["scan"], line["state"]) for line in lines if line["state"] != "started")
    wanted = {(f"scan_{n}", "done" if n < WHOLE else "failed"): 1 for n in range(WHOLE + BROKEN)}
    if ends != wanted:
        return "other states", str(ends)
    for number in range(WHOLE):
        name = f"out/scan_{number}"
        if parts(folder / name) != parts(whole / name):
            return "other bits", name
    if left := hidden(folder):
        return "leftover", str(left)
    return RIGHT, ""
