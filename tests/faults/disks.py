"""Disks that fill up at any byte; folders that are full, go, or cannot be written."""

import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import judge
import numpy as np
from judge import REFUSED, RIGHT, Verdict
from samples import Samples
from scenes import Scene, Whole, hidden, scenes, state, verdict_of_state, whole

Random = np.random.Generator
PAGE = 4096


def mountable() -> bool:
    """Tell whether this process may mount a small file system in memory."""
    return os.geteuid() == 0 and shutil.which("mount") is not None and _try_mount()


def _try_mount() -> bool:
    with tempfile.TemporaryDirectory() as place:
        try:
            with disk(Path(place), 16 * PAGE):
                return True
        except OSError:
            return False


@contextmanager
def disk(place: Path, size: int) -> Iterator[Path]:
    """Mount a file system of so many bytes, in memory, for the time of a block."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "faults", str(place)]
    if subprocess.run(command, capture_output=True, check=False).returncode:  # noqa: S603
        raise OSError("cannot mount")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)  # noqa: S603, S607


def _fill(folder: Path, free: int) -> Path:
    """Write a file that leaves so many bytes of the disk."""
    path, state = folder / "filler", os.statvfs(folder)
    size = max(0, state.f_bavail * state.f_frsize - free)
    with path.open("wb") as stream:
        for _ in range(size // PAGE):
            stream.write(bytes(PAGE))
    return path


def _read_only(place: Path, on: bool) -> None:
    way = "ro" if on else "rw"
    subprocess.run(["mount", "-o", f"remount,{way}", str(place)], check=True)  # noqa: S603, S607


def run(
    samples: Samples, seed: int, work: Path, backends: tuple[str, ...], only: str = ""
) -> tuple[str, Verdict]:
    """Run the scene of a seed on a disk that fails it, look at what is left, and end its work."""
    every = scenes(samples, backends, only)
    ways = ("full", "full", "full", "full", "temporary", "read only", "vanishing", "full")
    scene, way = every[seed % len(every)], ways[(seed // 3) % len(ways)]
    rng = np.random.default_rng([21, seed])
    known = whole(samples, scene, work)
    place = work / "disk"
    place.mkdir(exist_ok=True)
    with disk(place, known.bytes_needed * 6 + 2**24):
        folder = place / "case"
        folder.mkdir()
        scene.prepare(folder)
        make = {"full": _full, "temporary": _temporary, "read only": _read_only_disk,
                "vanishing": _vanishing}[way]  # fmt: skip
        label, verdict = make(samples, scene, folder, known, rng)
    return f"disk | {scene.name}, {label} | seed {seed}", verdict


def _call(
    samples: Samples, scene: Scene, folder: Path, argv: list[str], **more: object
) -> judge.Answer:
    return samples.server(scene.backend).call(argv, folder, seconds=120, **more)


def _clear(answer: judge.Answer, scene: Scene) -> Verdict:
    verdict = judge.judge(answer, scene.argv[0])
    if verdict[0] == "hang" and answer.killed != "hang":  # the work itself may take so long
        return (RIGHT, "") if answer.code == 0 else (REFUSED, answer.err)
    return verdict


def _after_failure(samples: Samples, scene: Scene, folder: Path, known: Whole) -> Verdict | None:
    """What is left is old, new or refused, and nothing unfinished lies about."""
    if verdict := verdict_of_state(samples, scene, folder, known):
        return verdict
    if left := [name for name in hidden(folder) if "commit" not in name]:
        return "leftover", str(left)
    return None


def _finish(samples: Samples, scene: Scene, folder: Path, known: Whole) -> Verdict:
    """With room again, the work can be ended, with the same bits."""
    argv = scene.again
    if scene.training and not any((folder / "out").glob("checkpoints/last*")):
        argv = [a for a in scene.argv if a not in ("--resume", "--overwrite")] + ["--overwrite"]
        if known.old:
            return "not resumable", "the old run is lost"
    verdict = _clear(_call(samples, scene, folder, argv), scene)
    if verdict[0] == REFUSED:
        return "not resumable", verdict[1]
    if verdict[0] != RIGHT:
        return verdict
    found = state(folder, scene, known)
    return (RIGHT, "") if found == "new" else ("other bits", found)


def _full(
    samples: Samples, scene: Scene, folder: Path, known: Whole, rng: Random
) -> tuple[str, Verdict]:
    free = int(rng.uniform(0, 1.3) * known.bytes_needed) if rng.random() < 0.9 else 0
    filler = _fill(folder.parent, free)
    answer = _call(samples, scene, folder, scene.argv)
    label = f"{free} bytes free of {known.bytes_needed}"
    verdict = _clear(answer, scene)
    if verdict[0] == RIGHT:
        found = state(folder, scene, known)
        return label, (RIGHT, "") if found == "new" else ("other bits", found)
    if verdict[0] != REFUSED:
        return label, verdict
    if "Errno" in verdict[1]:
        return label, ("no clear error", verdict[1])
    if fault := _after_failure(samples, scene, folder, known):
        return label, fault
    filler.unlink()
    ended = _finish(samples, scene, folder, known)
    return label, verdict if ended[0] == RIGHT else ended


def _temporary(
    samples: Samples, scene: Scene, folder: Path, known: Whole, rng: Random
) -> tuple[str, Verdict]:
    """TMPDIR is full, and nobody needs it."""
    del rng
    temporary = folder.parent.parent / "temporary"
    temporary.mkdir(exist_ok=True)
    with disk(temporary, 2 * PAGE):
        _fill(temporary, 0)
        answer = _call(samples, scene, folder, scene.argv, environment={"TMPDIR": str(temporary)})
        verdict = _clear(answer, scene)
        if verdict[0] == REFUSED:
            return "full TMPDIR", ("no clear error", f"fails, with room enough: {verdict[1]}")
        if verdict[0] != RIGHT:
            return "full TMPDIR", verdict
    found = state(folder, scene, known)
    return "full TMPDIR", (RIGHT, "") if found == "new" else ("other bits", found)


def _read_only_disk(
    samples: Samples, scene: Scene, folder: Path, known: Whole, rng: Random
) -> tuple[str, Verdict]:
    del rng
    _read_only(folder.parent, True)
    before = judge.snapshot(folder)
    answer = _call(samples, scene, folder, scene.argv)
    verdict = _clear(answer, scene)
    fault = verdict_of_state(samples, scene, folder, known)
    _read_only(folder.parent, False)
    if verdict[0] == RIGHT:
        return "read only", ("silent garbage", "exit code 0")
    if verdict[0] != REFUSED or fault:
        return "read only", fault or verdict
    if judge.snapshot(folder) != before:
        return "read only", ("input changed", "of a folder that cannot be written")
    ended = _finish(samples, scene, folder, known) if known.old else (RIGHT, "")
    return "read only", verdict if ended[0] == RIGHT else ended


def _vanishing(
    samples: Samples, scene: Scene, folder: Path, known: Whole, rng: Random
) -> tuple[str, Verdict]:
    """Somebody removes the folder of the output in the middle of the run."""
    delay = float(rng.uniform(0, known.seconds))
    out = folder / scene.out

    def remove() -> None:
        moved = folder / "moved away"
        if out.exists():
            out.rename(moved)

    timer = threading.Timer(delay, remove)
    timer.start()
    answer = _call(samples, scene, folder, scene.argv)
    timer.cancel()
    timer.join()
    verdict = _clear(answer, scene)
    label = f"moved away after {delay:.2f} s"
    if verdict[0] not in (RIGHT, REFUSED):
        return label, verdict
    fault = verdict_of_state(samples, scene, folder, known) if out.exists() else None
    return label, fault or verdict
