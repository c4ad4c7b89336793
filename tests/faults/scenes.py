"""Commands that write over something, and what their folder may hold when they were stopped."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import judge
from attrs import define, field, frozen
from judge import Verdict
from samples import CHECKPOINTS, NETWORK, SMALL, Samples

#: Epochs of the run that was there before, and of the one that replaces or continues it.
BEFORE, EPOCHS = 1, 3


@frozen(kw_only=True)
class Scene:
    """A command and the folder that it writes to.

    Attributes
    ----------
    name
        Command, its way of writing, and the backend.
    argv
        The call. It writes to ``out``, a file or a folder, in its folder.
    prepare
        Fills a new folder with the inputs and what ``out`` is before.
    read
        A call of a reader of ``out``, which refuses what is no whole result.
    out
        Name of what is written.
    again
        The call that ends the work after the first was stopped.
    """

    name: str
    argv: list[str]
    prepare: Callable[[Path], None]
    read: list[str]
    out: str
    again: list[str]
    backend: str = "none"
    training: bool = False


@define
class Whole:
    """What a scene's output is before and after, and what an undisturbed run takes.

    Attributes
    ----------
    old, new
        Content of each file, by name.
    changes, seconds
        How many changes of files the run makes, and how long it takes.
    bytes_needed
        Size of what is written.
    resumed
        What comes of the old training when it is resumed instead of replaced: its schedule was
        another.
    """

    old: dict[str, Any]
    new: dict[str, Any]
    changes: int
    seconds: float
    bytes_needed: int = field(default=0)
    resumed: dict[str, Any] = field(factory=dict)


def parts(path: Path) -> dict[str, Any]:
    """Content of each file of an output, without what differs from run to run (times)."""
    if path.is_file():
        return {path.name: _digest(path)}
    if not path.is_dir():
        return {}
    files = sorted(p for p in path.iterdir() if p.is_file() and not p.name.startswith("."))
    return {p.name: _digest(p) for p in files if p.name != "SHA256SUMS"}


def _digest(path: Path) -> Any:
    if path.suffix == ".json":
        return _without_times(json.loads(path.read_text("utf-8")))
    if path.suffix in (".npz", ".h5", ".cxi", ".zip"):
        content = judge.content_of(path)
        return {k: (v.shape, v.dtype.str, v.tobytes()) for k, v in content.items()}
    if path.suffix == ".html":  # a report tells times, memory and the hashes of what is beside it
        return path.read_text("utf-8").rstrip().endswith("</html>")
    return path.read_bytes()


_TIMES = ("timings_s", "created", "seconds", "patterns_per_second", "speed", "timings", "sha256")


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_times(v) for k, v in value.items()
                if not any(t in k for t in _TIMES) and k != "versions"}  # fmt: skip
    return [_without_times(v) for v in value] if isinstance(value, list) else value


def _solver(samples: Samples, command: str, backend: str, replace: bool) -> Scene:
    if command == "infer":
        argv = ["infer", str(samples.model(backend)), "new.npz", "-o", "out"]
    else:
        argv = ["reconstruct", "new.npz", "-o", "out", "--epochs", "1"]

    def prepare(folder: Path) -> None:
        shutil.copy(samples.star(), folder / "new.npz")
        shutil.copy(samples.other_star(), folder / "old.npz")
        if replace:
            shutil.copytree(samples.result_of_other_star(command, backend), folder / "out")

    again = [*argv, "--overwrite"]
    return Scene(
        name=f"{command}{' --overwrite' if replace else ''}, {backend}",
        argv=again if replace else argv,
        prepare=prepare,
        read=["evaluate", "out", "new.npz", "--json"],
        out="out",
        again=again,
        backend=backend,
    )


def _single(samples: Samples, kind: str) -> Scene:
    """Commands that write one file, or a pair."""
    out = {"npz": "out.npz", "cxi": "out.cxi", "ptychodus": "out", "simulate": "out.npz",
           "fixture": "out.npz"}[kind]  # fmt: skip
    if kind == "simulate":
        argv = ["simulate", "-o", out, "--N", "64", "--n-patterns", "12", "--size", "96"]
    elif kind == "fixture":
        argv = ["fixture", "new.npz", "-o", out, "--subset-size", "12"]
    else:
        argv = ["convert", "new.npz", out, "--to", kind]

    def prepare(folder: Path) -> None:
        shutil.copy(samples.star(), folder / "new.npz")
        shutil.copy(samples.other_star(), folder / "old.npz")
        old = samples.old_output(kind, out)
        if old.is_dir():
            shutil.copytree(old, folder / "out")
        else:
            for path in sorted(old.parent.glob("out*")):
                shutil.copy(path, folder / path.name)

    return Scene(
        name=f"{argv[0]} {kind if argv[0] == 'convert' else ''} --overwrite".replace("  ", " "),
        argv=[*argv, "--overwrite"],
        prepare=prepare,
        read=["inspect", out, "--json"],
        out=out,
        again=[*argv, "--overwrite"],
    )


def _training(samples: Samples, backend: str, way: str) -> Scene:
    argv = ["train", "new.npz", "-o", "out", "--backend", backend, "--nepochs", str(EPOCHS),
            *SMALL, *NETWORK[backend]]  # fmt: skip

    def prepare(folder: Path) -> None:
        shutil.copy(samples.star(), folder / "new.npz")
        if way:
            shutil.copytree(samples.model(backend), folder / "out")

    return Scene(
        name=f"train{way}, {backend}",
        argv=[*argv, *way.split()],
        prepare=prepare,
        read=["bundle", "check", "out"],
        out="out",
        again=[*argv, "--resume"],
        backend=backend,
        training=True,
    )


def scenes(samples: Samples, backends: tuple[str, ...], only: str = "") -> list[Scene]:
    """Every scene, the frequent ones more than once: they are dealt round and round.

    With ``only``, those whose command begins so.
    """
    makers: list[tuple[str, Callable[[], Scene]]] = [
        ("reconstruct", lambda: _solver(samples, "reconstruct", "none", replace=True)),
        ("convert", lambda: _single(samples, "npz")),
        ("reconstruct", lambda: _solver(samples, "reconstruct", "none", replace=False)),
        ("convert", lambda: _single(samples, "ptychodus")),
        ("simulate", lambda: _single(samples, "simulate")),
        ("reconstruct", lambda: _solver(samples, "reconstruct", "none", replace=True)),
        ("convert", lambda: _single(samples, "cxi")),
        ("fixture", lambda: _single(samples, "fixture")),
    ]
    if "pytorch" in backends:
        makers += [
            ("train", lambda: _training(samples, "pytorch", "")),
            ("infer", lambda: _solver(samples, "infer", "pytorch", replace=True)),
            ("train", lambda: _training(samples, "pytorch", " --resume")),
            ("train", lambda: _training(samples, "pytorch", " --overwrite")),
            ("infer", lambda: _solver(samples, "infer", "pytorch", replace=True)),
            ("train", lambda: _training(samples, "pytorch", " --resume")),
        ]
    if "tensorflow" in backends:
        makers += [  # each takes as long as all the others
            ("train", lambda: _training(samples, "tensorflow", "")),
            ("train", lambda: _training(samples, "tensorflow", " --resume")),
            ("train", lambda: _training(samples, "tensorflow", " --overwrite")),
            *makers,
        ]
    return [make() for name, make in makers if name.startswith(only)]


_WHOLES: dict[str, Whole] = {}


def whole(samples: Samples, scene: Scene, work: Path) -> Whole:
    """Run a scene undisturbed, once."""
    if scene.name not in _WHOLES:
        folder = work / "undisturbed"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        scene.prepare(folder)
        old = parts(folder / scene.out)
        answer = samples.server(scene.backend).call(
            scene.argv, folder, watched=str(folder), seconds=300
        )
        if answer.code:
            raise RuntimeError(f"{scene.name} fails undisturbed: {answer.err}")
        out = folder / scene.out
        files = [out] if out.is_file() else [p for p in out.rglob("*") if p.is_file()]
        _WHOLES[scene.name] = Whole(
            old=old,
            new=parts(out),
            changes=answer.changes,
            seconds=answer.wall_s,
            bytes_needed=sum(p.stat().st_size for p in files),
        )
        if scene.training and "--overwrite" in scene.argv:
            other = _training(samples, scene.backend, " --resume")
            _WHOLES[scene.name].resumed = whole(samples, other, work).new
    return _WHOLES[scene.name]


def hidden(folder: Path) -> list[str]:
    """Names of unfinished files and set-aside folders below a folder."""
    return sorted(
        str(p.relative_to(folder))
        for p in folder.rglob("*")
        if p.name.startswith(".ptycho-") or p.name == "checkpoints.old"
    )


def state(folder: Path, scene: Scene, known: Whole) -> str:
    """Say what the output is: ``nothing``, ``old``, ``new`` or ``mixed: NAMES``."""
    try:
        now = parts(folder / scene.out)
    except (OSError, ValueError, KeyError) as error:
        return f"mixed: unreadable: {error}"
    if scene.training:
        now = {name: value for name, value in now.items() if name == "wts.h5.zip"}
        whole_ones = (known.old, known.new, known.resumed)
        old, new, resumed = ({"wts.h5.zip": w["wts.h5.zip"]} if w else {} for w in whole_ones)
        if now and now == resumed:
            return "new"
    else:
        old, new = known.old, known.new
    if not now:
        return "nothing"
    if now == new:
        return "new"
    if now == old:
        return "old"
    of_new = sorted(k for k in now if k in new and now[k] == new[k])
    of_old = sorted(k for k in now if k in old and now[k] == old[k] and k not in of_new)
    lost = sorted((old.keys() | new.keys()) - now.keys())
    odd = sorted(now.keys() - set(of_new) - set(of_old))
    return f"mixed: new {of_new}, old {of_old}, lost {lost}, neither {odd}"


def verdict_of_state(samples: Samples, scene: Scene, folder: Path, known: Whole) -> Verdict | None:
    """Judge what a stopped command left: a reader sees old or new, or refuses."""
    answer = samples.server("none").call(scene.read, folder)
    verdict = judge.judge(answer, scene.read[0])
    if verdict[0] not in (judge.RIGHT, judge.REFUSED):
        return verdict
    found = state(folder, scene, known)
    if found.startswith("mixed") and verdict[0] == judge.RIGHT:
        return "mixed set", found
    if found == "nothing" and known.old and not scene.training:
        return "mixed set", "neither the old result nor the new one"
    return None


__all__ = ["BEFORE", "CHECKPOINTS", "EPOCHS", "Scene", "Whole", "hidden", "parts", "scenes",
           "state", "verdict_of_state", "whole"]  # fmt: skip
