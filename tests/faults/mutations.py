"""Damaged and hostile inputs, one per seed: what is damaged, how, and the command that meets it."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bundles
import h5py
import hdf5s
import judge
import numpy as np
import octets
import options
import texts
import zips
from attrs import field, frozen
from judge import HOSTILE, REFUSED, RIGHT, Verdict
from samples import CHECKPOINTS, NETWORK, SMALL, Samples

Random = np.random.Generator
WRITTEN_WHOLE = ("npz", "npz, compressed", "lcls", "written npz")


@frozen(kw_only=True)
class Case:
    """A call that meets damage.

    Attributes
    ----------
    label
        What was damaged, and how.
    argv
        The call, in the case's folder.
    outputs
        What it may write there, if it ends well.
    protected
        Whether damage of this kind cannot stay unnoticed: the result is that of the whole input,
        or there is none.
    backend
        The backend whose server runs it.
    whole
        Fills a folder with the undamaged inputs.
    check
        Looks for more in the answer.
    """

    label: str
    argv: list[str]
    outputs: tuple[str, ...] = ()
    protected: bool = False
    backend: str = "none"
    whole: Callable[[Path], None] = field(default=lambda _: None)
    check: Callable[[judge.Answer], Verdict | None] = field(default=lambda _: None)


def _name(kind: Any) -> str:
    return f"{kind.__module__}.{kind.__name__}"


def hostile_name(path: Path, rng: Random) -> None:
    """Give an array a name that could control a terminal, or forge a line."""
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        old = texts.chosen(list(arrays), rng)
        arrays[HOSTILE] = arrays.pop(old) if rng.random() < 0.6 else arrays[old]
        if rng.random() < 0.4:
            arrays["domain"] = np.array(HOSTILE)
        if rng.random() < 0.3:
            arrays["_metadata"] = np.array(json.dumps({"domain": HOSTILE, "axes": HOSTILE}))
        with path.open("wb") as stream:
            np.savez(stream, **arrays)
        return
    with h5py.File(path, "r+") as file:
        names = hdf5s._datasets(file)
        old = texts.chosen(names, rng)
        if rng.random() < 0.6:
            file.move(old, HOSTILE)
        else:
            file[f"entry_1/{HOSTILE}" if "entry_1" in file else HOSTILE] = np.zeros(3)
        item = file[texts.chosen(hdf5s._datasets(file), rng)]
        item.attrs["units"] = HOSTILE
        item.attrs[HOSTILE] = HOSTILE


def _command_for_scan(file: str, rng: Random) -> tuple[list[str], tuple[str, ...]]:
    draw = rng.random()
    if draw < 0.42:
        return ["inspect", file, "--json"] if draw < 0.2 else ["inspect", file], ()
    if draw < 0.8:
        kind = texts.chosen(["npz", "cxi", "ptychodus"], rng)
        name = {"npz": "out.npz", "cxi": "out.cxi", "ptychodus": "out"}[kind]
        return ["convert", file, name, "--to", kind], (name,)
    if draw < 0.88:
        return ["fixture", file, "-o", "out.npz", "--subset-size", "4"], ("out.npz", "out.json")
    if draw < 0.93:
        argv = ["simulate", "--from", file, "-o", "out.npz", "--N", "8", "--n-patterns", "4"]
        return argv, ("out.npz",)
    return ["reconstruct", file, "-o", "out", "--epochs", "1"], ("out",)


def _apply(kind: Any, target: Path, rng: Random, trap: Path) -> None:
    if kind is hostile_name:
        hostile_name(target, rng)
    elif kind in octets.MUTATIONS:
        octets.mutate(target, kind, rng)
    elif kind in hdf5s.MUTATIONS:
        hdf5s.mutate(target, kind, rng)
    else:
        zips.mutate(target, kind, rng, trap)


def scan(samples: Samples, folder: Path, rng: Random, turn: int) -> Case:
    """Damage a scan of any format: its bytes, its arrays, or what holds them together."""
    form = samples.formats[turn % len(samples.formats)]
    source, file = samples.scan(form)

    def whole(place: Path) -> None:
        shutil.copytree(source, place, dirs_exist_ok=True)

    whole(folder)
    target = texts.chosen(sorted(folder.iterdir()), rng)
    inside = [*zips.MEMBERS, *zips.ARCHIVES] if target.suffix == ".npz" else hdf5s.MUTATIONS
    kinds = [*octets.MUTATIONS, *inside, *inside, hostile_name, hostile_name]
    kind = texts.chosen(kinds, rng)
    try:
        _apply(kind, target, rng, folder / "trap")
    except (TypeError, ValueError, OSError):  # a mutation of numbers, and a dataset of text
        shutil.rmtree(folder)
        whole(folder)
        kind = texts.chosen(octets.MUTATIONS, rng)
        _apply(kind, target, rng, folder / "trap")
    argv, outputs = _command_for_scan(file, rng)
    return Case(
        label=f"scan, {form}, {_name(kind)}, {argv[0]}",
        argv=argv,
        outputs=outputs,
        whole=whole,
        protected=kind in octets.MUTATIONS
        and (form in WRITTEN_WHOLE or form.startswith("written")),
    )


def raw(samples: Samples, folder: Path, rng: Random, turn: int) -> Case:
    """Damage the files of an instrument, or the recipe that makes a scan of them."""
    layout = samples.layouts[turn % len(samples.layouts)]
    source, names = samples.raw(layout)
    shutil.copytree(source, folder, dirs_exist_ok=True)
    recipe = folder / "recipe.toml"
    if rng.random() < 0.35:
        text = recipe.read_text("utf-8")
        recipe.write_bytes(texts.mutate_settings(text, "toml", rng))
        what = "recipe"
    else:
        target = texts.chosen([p for p in sorted(folder.iterdir()) if h5py.is_hdf5(p)], rng)
        kind = texts.chosen([*octets.MUTATIONS, *hdf5s.MUTATIONS, hostile_name], rng)
        try:
            _apply(kind, target, rng, folder / "trap")
        except (TypeError, ValueError, OSError):  # a mutation of numbers, and a dataset of text
            shutil.copytree(source, folder, dirs_exist_ok=True)
            kind = octets.flip
            _apply(kind, target, rng, folder / "trap")
        what = _name(kind)
    argv = ["prepare", *names, "-o", "out.npz"]
    if what == "recipe" or rng.random() < 0.7:
        argv += ["--recipe", "recipe.toml"]
    return Case(
        label=f"raw, {layout}, {what}", argv=argv, outputs=("out.npz", "out.png", "out.html")
    )


def bundle(samples: Samples, folder: Path, rng: Random, turn: int, backend: str) -> Case:
    """Damage a trained network."""
    del turn

    def whole(place: Path) -> None:
        shutil.copytree(samples.model(backend), place / "model")
        shutil.copy(samples.star(), place / "star.npz")

    whole(folder)
    path = folder / "model" / "wts.h5.zip"
    if rng.random() < 0.3:
        kind = texts.chosen(octets.MUTATIONS, rng)
        octets.mutate(path, kind, rng)
        what, protected = _name(kind), True
    else:
        what, protected = bundles.mutate(path, rng, folder / "trap"), False
    draw, calls = rng.random(), 0.05 if backend == "tensorflow" else 0.15
    target = texts.chosen(["model", "model/wts.h5.zip"], rng)
    outputs: tuple[str, ...] = ()
    if draw < calls:
        argv, outputs = ["infer", target, "star.npz", "-o", "out"], ("out",)
    elif draw < 0.5:
        argv = ["bundle", "check", target]
    elif draw < 0.75:
        argv = ["bundle", "show", target]
    else:
        argv = ["config", "show", "star.npz", "--bundle", target]
    return Case(
        label=f"bundle, {backend}, {what}, {argv[0]}",
        argv=argv,
        outputs=outputs,
        whole=whole,
        protected=protected and argv[0] == "infer",
        backend=backend if argv[0] == "infer" else "none",
    )


def checkpoint(samples: Samples, folder: Path, rng: Random, turn: int, backend: str) -> Case:
    """Damage a checkpoint, or what lies beside it, and resume."""
    del turn

    def whole(place: Path) -> None:
        shutil.copytree(samples.model(backend), place / "model")
        shutil.copy(samples.star(), place / "star.npz")

    whole(folder)
    last = folder / "model" / "checkpoints" / CHECKPOINTS[backend]
    draw = rng.random()
    if draw < 0.15:
        everything = sorted(p for p in (folder / "model").rglob("*") if p.is_file())
        target = texts.chosen(everything, rng)
        target.write_bytes(texts.mutate_bytes(target.read_bytes(), rng)[: 2**22])
        what, protected = f"bytes of {target.name}", target.parent.name == "checkpoints"
    elif draw < 0.6:
        kind = texts.chosen(octets.MUTATIONS, rng)
        octets.mutate(last, kind, rng)
        what, protected = _name(kind), True
    else:
        what, protected = bundles.mutate_checkpoint(last, rng, folder / "trap"), False
    argv = ["train", "star.npz", "-o", "model", "--backend", backend, "--nepochs", "2", *SMALL,
            *NETWORK[backend], "--resume"]  # fmt: skip
    return Case(
        label=f"checkpoint, {backend}, {what}",
        argv=argv,
        outputs=("model",),
        whole=whole,
        protected=protected,
        backend=backend,
    )


def settings(samples: Samples, folder: Path, rng: Random, turn: int) -> Case:
    """Damage settings in TOML, YAML or JSON, or write hostile ones."""
    kind = ("toml", "yaml", "json")[turn % 3]
    data = texts.mutate_settings(samples.settings(kind), kind, rng)
    name = f"settings.{kind}" if rng.random() < 0.95 else texts.chosen(["s.txt", "s", "s.ini"], rng)
    (folder / name).write_bytes(data)
    shutil.copy(samples.star(), folder / "star.npz")

    def check(answer: judge.Answer) -> Verdict | None:
        if kind != "yaml" or not name.endswith("yaml") or answer.code:
            return None
        shown = json.loads(answer.out)
        text = data.decode("utf-8", "replace")
        for written, taken in (("010", 8), ("1:20", 80), ("1_0", 10)):
            if (
                text.startswith(f"nepochs: {written}\n")
                and f'"nepochs": {taken},' in json.dumps(shown) + ","
            ):
                return "silent garbage", f"{written} became {taken}"
        return None

    argv = ["config", "show", "star.npz", "--config", name, "--json"]
    return Case(label=f"settings, {kind}", argv=argv, check=check)


def result(samples: Samples, folder: Path, rng: Random, turn: int) -> Case:
    """Damage a file of a result, or mix the files of two."""
    del turn

    def whole(place: Path) -> None:
        shutil.copytree(samples.rec(), place / "rec")
        shutil.copy(samples.star(), place / "star.npz")

    whole(folder)
    files = sorted(p for p in (folder / "rec").iterdir() if p.is_file())
    target = texts.chosen(files, rng)
    way, protected = int(rng.integers(6)), True
    if way == 0:
        target.unlink()
        what = "removed"
    elif way == 1:
        other = texts.chosen(files, rng)
        shutil.copy(other, target) if other != target else target.unlink()
        what = f"replaced by {other.name}"
    elif way == 2 and target.suffix in (".npz", ".h5"):
        with h5py.File(target, "r+") if target.suffix == ".h5" else _Npz(target) as arrays:
            key = "object"
            values = np.array(arrays[key])
            values[..., 0, 0] += 1
            del arrays[key]
            arrays[key] = values
        what = "another object"
    elif way == 3 and target.suffix == ".npz":
        kind = texts.chosen([*zips.MEMBERS, *zips.ARCHIVES], rng)
        zips.mutate(target, kind, rng, folder / "trap")
        what, protected = _name(kind), False
    elif way == 4 and target.suffix == ".h5":
        kind = texts.chosen(hdf5s.MUTATIONS, rng)
        hdf5s.mutate(target, kind, rng)
        what, protected = _name(kind), False
    elif way == 5 and target.suffix == ".json":
        text = texts.mutate_json(target.read_text("utf-8"), rng)
        target.write_bytes(text.encode("utf-8", "surrogatepass"))
        what = "json"
    else:
        kind = texts.chosen(octets.MUTATIONS, rng)
        octets.mutate(target, kind, rng)
        what = _name(kind)
    draw = rng.random()
    if draw < 0.5:
        argv, outputs = ["evaluate", "rec", "star.npz", "--json"], ()
    elif draw < 0.6:
        argv, outputs = ["evaluate", "rec", "star.npz", "-o", "out"], ("out",)
    elif draw < 0.8:
        argv, outputs = ["evaluate", f"rec/{target.name}", "star.npz", "--json"], ()
        protected = protected and target.suffix == ".npz"
    else:
        argv = ["simulate", "--from", f"rec/{target.name}", "-o", "out.npz", "--n-patterns", "2"]
        outputs, protected = ("out.npz",), False
    return Case(
        label=f"result, {target.name}, {what}, {argv[0]}",
        argv=argv,
        outputs=outputs,
        whole=whole,
        protected=protected,
    )


class _Npz(dict[str, Any]):
    """An NPZ file as a dictionary that is written back at the end of a block."""

    def __init__(self, path: Path) -> None:
        with np.load(path, allow_pickle=False) as archive:
            super().__init__({name: archive[name] for name in archive.files})
        self.path = path

    def __enter__(self) -> "_Npz":
        return self

    def __exit__(self, *_: object) -> None:
        with self.path.open("wb") as stream:
            np.savez(stream, **self)


NAMES = [
    "a b.npz", " lead.npz", "line\nFORGED no violation.npz", "esc\x1b[31m.npz", "bell\x07.npz",
    "cr\rFORGED no violation.npz", "é.npz", "e\u0301.npz", "\u202enpz.exe", "-o.npz", "%s%n.npz",
    "{0}.npz", "$(touch trap).npz", "`touch trap`.npz", "a" * 250 + ".npz", "\udcff\udcfe.npz",
    "tab\t.npz", "quote'\".npz", "~.npz", "*.npz", "\u2028.npz", "c1\x9b31m.npz", "\ufeff.npz",
]  # fmt: skip


ODD = (
    "link to itself", "dangling link", "link", "fifo", "folder", "device", "loop of folders",
    "empty file", "proc file",
)  # fmt: skip


def _odd_file(folder: Path, name: str, way: int, whole: Path) -> str:
    """Put something at a name that is no ordinary file; return what."""
    path = folder / name
    match way:
        case 0:
            path.symlink_to(name)
        case 1:
            path.symlink_to("nowhere")
        case 2:
            path.symlink_to(whole.name)
        case 3:
            os.mkfifo(path)
        case 4:
            path.mkdir()
        case 5:
            path.symlink_to("/dev/zero")
        case 6:
            path.symlink_to(".")
        case 7:
            path.touch()
        case _:
            path.symlink_to("/proc/self/environ")
    return ODD[way]


def place(samples: Samples, folder: Path, rng: Random, turn: int) -> Case:
    """Odd names, links, loops, devices and folders where a file is expected, or will be written."""
    source, file = samples.scan("npz")
    whole = folder / "whole.npz"
    shutil.copy(source / file, whole)
    name = NAMES[turn % len(NAMES)]
    arg = name if not name.startswith("-") else f"./{name}"
    draw = int(rng.integers(4))
    odd = int(rng.integers(len(ODD)))
    try:
        if draw == 0:  # the whole scan under an odd name
            whole.rename(folder / name)
            argv, outputs = _command_for_scan(arg, rng)
            return Case(label=f"place, named {name!r}, {argv[0]}", argv=argv, outputs=outputs)
        if draw == 1:  # something odd where the scan should be
            what = _odd_file(folder, name, odd, whole)
            argv, outputs = _command_for_scan(arg, rng)
            return Case(label=f"place, {what} {name!r}, {argv[0]}", argv=argv, outputs=outputs)
        more = ["--overwrite"] if rng.random() < 0.6 else []
        if draw == 2:  # something odd where the result will be
            what = _odd_file(folder, name, odd, whole)
            argv = texts.chosen(
                [
                    ["convert", "whole.npz", arg, "--to", "npz"],
                    ["simulate", "-o", arg, "--N", "8", "--n-patterns", "4"],
                    ["reconstruct", "whole.npz", "-o", arg, "--epochs", "1"],
                    ["fixture", "whole.npz", "-o", arg],
                    ["inspect", "whole.npz", "--plot", arg],
                    ["config", "template", "-o", arg],
                ],
                rng,
            )
            outputs = (name, "nowhere", f"{name}.json", Path(name).with_suffix(".json").name)
            if argv[0] == "reconstruct" and what in ("folder", "loop of folders"):
                outputs = (*outputs, ".") if what != "folder" else outputs
            return Case(
                label=f"place, onto {what}, {argv[0]}", argv=[*argv, *more], outputs=outputs
            )
        kind = texts.chosen(["toml", "yaml", "json"], rng)
        settings_name = Path(name).stem[:100] + f".{kind}"
        what = _odd_file(folder, settings_name, odd, whole)
        argv = ["config", "show", "whole.npz", "--config", f"./{settings_name}"]
        return Case(label=f"place, settings {what}", argv=argv)
    except OSError:  # a name that this file system does not take
        return Case(label="place, none", argv=["inspect", "nothing.npz"])


def option(samples: Samples, folder: Path, rng: Random, turn: int) -> Case:
    """Give one option of a command a value that nobody means."""
    del turn
    source, file = samples.scan("npz")
    shutil.copy(source / file, folder / "scan.npz")
    command, argv, outputs = texts.chosen(options.CALLS, rng)
    name, value = options.draw(command, rng)
    if name in ("--output", "--output-dir", "--plot", "--metadata-out"):
        outputs = (*outputs, value, f"{value}.json")
    return Case(
        label=f"option, {command} {name} {value[:30]!r}",
        argv=[*argv, name, value],
        outputs=outputs,
    )


Family = Callable[[Samples, Path, Random, int], Case]


def families(backends: tuple[str, ...]) -> list[tuple[str, int, Family]]:
    """Name, weight and generator of every kind of damage."""
    found: list[tuple[str, int, Family]] = [
        ("scan", 208, scan),
        ("raw", 60, raw),
        ("settings", 90, settings),
        ("result", 32, result),
        ("place", 36, place),
        ("option", 32, option),
    ]
    if "pytorch" in backends:
        found.append(("bundle, pytorch", 24, _of(bundle, "pytorch")))
        found.append(("checkpoint, pytorch", 6, _of(checkpoint, "pytorch")))
    if "tensorflow" in backends:
        found.append(("bundle, tensorflow", 6, _of(bundle, "tensorflow")))
        found.append(("checkpoint, tensorflow", 1, _of(checkpoint, "tensorflow")))
    return found


def _of(make: Callable[..., Case], backend: str) -> Family:
    return lambda samples, folder, rng, turn: make(samples, folder, rng, turn, backend)


def deal(backends: tuple[str, ...]) -> list[tuple[str, Family]]:
    """One round of families, mixed, each as often as its weight says."""
    cards = [(name, make) for name, weight, make in families(backends) for _ in range(weight)]
    order = np.random.default_rng(len(cards)).permutation(len(cards))
    return [cards[k] for k in order]


def run(samples: Samples, seed: int, work: Path, backends: tuple[str, ...]) -> tuple[str, Verdict]:
    """Make the case of a seed, run it and judge it; return its label and the verdict."""
    round_ = deal(backends)
    family, make = round_[seed % len(round_)]
    rng = np.random.default_rng([19, seed])
    folder = work / "case"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    case = make(samples, folder, rng, seed // len(round_) + int(rng.integers(1000)))
    before = judge.snapshot(folder)
    answer = samples.server(case.backend).call(case.argv, folder)
    label = f"{family} | {case.label} | seed {seed}"
    return label, _verdict(samples, case, answer, folder, before)


def _verdict(
    samples: Samples,
    case: Case,
    answer: judge.Answer,
    folder: Path,
    before: dict[str, tuple[Any, ...]],
) -> Verdict:
    verdict = judge.judge(answer, case.argv[0])
    if (folder / "trap").exists():
        return "executed", "the trap is there"
    if verdict[0] not in (RIGHT, REFUSED):
        return verdict
    after = judge.snapshot(folder)
    kept = case.outputs if verdict[0] == RIGHT else ()
    if case.argv[0] == "train":  # a training that fails later may have begun: see the kills
        kept = ("model",)
    for name in sorted(before.keys() | after.keys()):
        if any(name == o or o == "." or name.startswith(f"{o}/") for o in kept):
            continue
        if name not in before:
            kind = "leftover" if ".ptycho-" in name else "written on failure"
            return kind, f"{name}; {verdict[0]}: {answer.err[-300:]}"
        if before[name] != after.get(name):
            return "input changed", f"{name}; {verdict[0]}: {answer.err[-300:]}"
    if any(".ptycho-" in name and name not in before for name in after):
        return "leftover", str([name for name in after if ".ptycho-" in name])
    if verdict[0] == REFUSED:
        return verdict
    return case.check(answer) or _of_outputs(samples, case, answer, folder)


def _of_outputs(samples: Samples, case: Case, answer: judge.Answer, folder: Path) -> Verdict:
    contents = {}
    if case.argv[0] == "config":
        return RIGHT, ""
    for name in case.outputs:
        path = folder / name
        if path.exists() and name not in ("model", ".") and not path.is_symlink():
            try:
                contents[name] = judge.content_of(path)
            except (OSError, ValueError, KeyError) as error:
                return "silent garbage", f"{name} cannot be read: {error}"
            if problem := judge.garbage(contents[name]):
                return "silent garbage", f"{name}: {problem}; {answer.err[-300:]}"
    if case.argv[0] == "train":
        contents["model"] = judge.content_of(folder / "model" / "wts.h5.zip")
    if case.protected:
        expected_out, expected = reference(samples, case, folder)
        for name, content in contents.items():
            if problem := judge.difference(content, expected.get(name, {})):
                return "other bits", f"{name}: {problem}; {answer.err[-300:]}"
        if case.argv[0] in ("inspect", "evaluate") and answer.out != expected_out:
            return "other bits", f"other text: {_first_difference(answer.out, expected_out)}"
    return RIGHT, ""


def _first_difference(one: str, other: str) -> str:
    for a, b in zip(one.splitlines(), other.splitlines(), strict=False):
        if a != b:
            return f"{a!r}, not {b!r}"
    return "its length"


_REFERENCES: dict[tuple[str, ...], tuple[str, dict[str, Any]]] = {}


def reference(samples: Samples, case: Case, folder: Path) -> tuple[str, dict[str, Any]]:
    """Text and arrays of the same call on whole inputs."""
    whole = folder.parent / "whole"
    shutil.rmtree(whole, ignore_errors=True)
    whole.mkdir()
    case.whole(whole)
    key = (str(judge.snapshot(whole)), *case.argv)
    if key not in _REFERENCES:
        answer = samples.server(case.backend).call(case.argv, whole, seconds=120)
        contents = {}
        for name in case.outputs:
            path = whole / name / "wts.h5.zip" if name == "model" else whole / name
            if path.exists():
                contents[name] = judge.content_of(path)
        _REFERENCES[key] = (answer.out, contents)
    return _REFERENCES[key]
