"""Commands that are killed: at a change of a file, or at any time."""

import shutil
from pathlib import Path

import judge
import numpy as np
from judge import REFUSED, RIGHT, Verdict
from samples import Samples
from scenes import Scene, Whole, hidden, parts, scenes, state, verdict_of_state, whole

Random = np.random.Generator


def _moment(known: Whole, rng: Random) -> dict[str, float]:
    """Choose a moment: before one of the changes of files, or any time of the run."""
    if rng.random() < 0.6 and known.changes:
        return {"kill_at": int(rng.integers(1, known.changes + 1))}
    return {"kill_after_s": float(rng.uniform(0.02, known.seconds))}


def run(
    samples: Samples, seed: int, work: Path, backends: tuple[str, ...], only: str = ""
) -> tuple[str, Verdict]:
    """Kill the command of a seed, look at what it left, and end its work."""
    every = scenes(samples, backends, only)
    scene = every[seed % len(every)]
    rng = np.random.default_rng([20, seed])
    known = whole(samples, scene, work)
    folder = work / "killed"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    scene.prepare(folder)
    moment = _moment(known, rng)
    label = f"kill | {scene.name}, {moment} | seed {seed}"
    server = samples.server(scene.backend)
    answer = server.call(scene.argv, folder, watched=str(folder), seconds=120, **moment)
    if not answer.killed and answer.code:
        return label, ("no clear error", f"fails undisturbed: {answer.err[-300:]}")
    if verdict := verdict_of_state(samples, scene, folder, known):
        return label, verdict
    if scene.training and rng.random() < 0.3:  # killed again, while it resumes
        moment = _moment(known, rng)
        label += f", and again {moment}"
        server.call(scene.again, folder, watched=str(folder), seconds=120, **moment)
        if verdict := verdict_of_state(samples, scene, folder, known):
            return label, verdict
    return label, _ended(samples, scene, folder, known)


def _ended(samples: Samples, scene: Scene, folder: Path, known: Whole) -> Verdict:
    """End the work, and compare with that of the run that nobody disturbed."""
    server = samples.server(scene.backend)
    answer = server.call(scene.again, folder, seconds=120)
    verdict = judge.judge(answer, scene.again[0])
    if verdict[0] == "hang" and answer.cpu_s < 100:  # trainings may take longer than inputs
        verdict = (RIGHT, "") if answer.code == 0 else (REFUSED, answer.err)
    if scene.training and verdict[0] == REFUSED:
        # Nothing to resume: killed in the first epoch. A new run must be possible.
        if any((folder / "out").glob("checkpoints/last*")):
            return "not resumable", f"{verdict[1]}; {_tree(folder / 'out')}"
        if known.old:
            return "not resumable", f"the old run is lost: {verdict[1]}; {_tree(folder / 'out')}"
        answer = server.call([*scene.argv, "--overwrite"], folder, seconds=120)
        verdict = (RIGHT, "") if answer.code == 0 else ("not resumable", answer.err[-300:])
    if verdict[0] == REFUSED:
        return "not resumable", verdict[1]
    if verdict[0] != RIGHT:
        return verdict
    if (found := state(folder, scene, known)) != "new":
        return "other bits", found
    if scene.training and (lost := {"run.json", "metrics.json"} - set(parts(folder / "out"))):
        return "mixed set", f"a whole training without {sorted(lost)}"
    if left := hidden(folder):
        return "leftover", str(left)
    return RIGHT, ""


def _tree(folder: Path) -> str:
    return str(sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()))
