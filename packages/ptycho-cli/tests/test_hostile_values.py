"""Every option and argument of every command with hostile values: right, or one clean line."""

import shutil
from itertools import count
from pathlib import Path

import click
import h5py
import numpy as np
import pytest
from ptycho_cli.main import cli

VALUES = (
    "", "-1", "nan", "inf", "-inf", "1e308", "-1e308", "1e-320", "1e400", str(2**31), str(2**63),
    str(2**64), "9" * 400, "9" * 5000, "1_0", "\u0663", "0", "a\nno violation\x1b[31m\u202e",
    "\udcff", "x" * 5000, "none", " ",
)  # fmt: skip
PATHS = ("", "\udcff", "a\nno violation\x1b[31m\u202e", "x" * 5000, ".")
#: Values of the daily run for one option: a window of the table that moves on with each option.
WINDOW = 2
#: How each command is called; OUT is a new name.
CALLS = {
    "demo": "-o OUT --nepochs 0",  # never run: the daily run has a demo of its own
    "simulate": "-o OUT.npz --N 16 --size 40 --n-patterns 9",
    "inspect": "scan.npz",
    "fixture": "scan.npz -o OUT.npz",
    "convert": "scan.npz OUT.npz",
    "prepare": "frames.h5 -o OUT.npz --patterns data --x x --y y --unit um --energy 8keV "
    "--distance 1m --detector-pixel 50um --first-probe none --no-picture",
    "train": "scan.npz -o OUT --nepochs 1",
    "infer": "model scan.npz -o OUT",
    "reconstruct": "scan.npz -o OUT --epochs 1",
    "watch": "incoming model -o OUT --once --settle 0",
    "stream": "model --source folder:incoming --positions table:places.txt -o OUT --no-pictures",
    "submit": "-o OUT -- reconstruct scan.npz",  # refused in the end: there is no Slurm
    "jobs": "incoming",
    "evaluate": "result scan.npz",
    "report": "result -o OUT.html",
    "bundle show": "model",
    "bundle check": "model",
    "bundle export": "model --to onnx -o OUT.onnx",
    "config show": "scan.npz",
    "config schema": "",
    "config template": "",
    "config reference": "",
    "env": "",
}


def commands(group, prefix=()):
    """Name and command of every command, those of groups too."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*prefix, name))
        else:
            yield " ".join((*prefix, name)), command


COMMANDS = dict(commands(cli))


def words_with(command, param, value, words):
    """The words of a call with the value of one option or argument replaced."""
    if isinstance(param, click.Argument):
        place = [p for p in command.params if isinstance(p, click.Argument)].index(param)
        return [*words[:place], value, *words[place + 1 :]]
    flag = max(param.opts, key=len)
    option = [f"{flag}={value}"] if flag.startswith("--") else [flag, value]
    end = words.index("--") if "--" in words else len(words)  # what follows is another command
    return [*words[:end], *option, *words[end:]]


@pytest.fixture
def folder(tmp_path, scan_file, solved, stand_in, ptycho, monkeypatch):
    """A working directory with a scan, a model and a result."""
    assert stand_in is not None
    place = tmp_path / "work"
    place.mkdir()
    monkeypatch.chdir(place)
    shutil.copy(scan_file, "scan.npz")
    shutil.copytree(solved, "result")
    Path("incoming").mkdir()
    shutil.copy(scan_file, "incoming")
    Path("incoming/all.done").touch()  # of a stream, which ends then
    Path("places.txt").write_text("end\n")
    with np.load("scan.npz") as arrays, h5py.File("frames.h5", "w") as file:
        for name, key in (("data", "diffraction"), ("x", "xcoords"), ("y", "ycoords")):
            file[name] = arrays[key]
    assert ptycho("train", "scan.npz", "-o", "model", "--nepochs", "1").code == 0
    return place


def is_clean(done):
    """Whether a call ended as it may: done, or with one error of at most two lines."""
    shown = (done.out + done.err).split("\n")
    lines = [line for line in done.err.split("\n") if line]
    errors = [number for number, line in enumerate(lines) if line.startswith("error: ")]
    ended = not errors if done.code == 0 else len(errors) == 1 and len(lines) - errors[0] <= 2
    return (
        done.code in (0, 1, 2, 3)
        and ended
        and "internal error" not in done.err
        and "Traceback" not in done.err
        and all(line.isprintable() and not line.startswith("no violation\x1b") for line in shown)
        and max(map(len, lines), default=0) < 1100
    )


def sweep(ptycho, name, window):
    """Call a command with hostile values; returns the calls that did not end as they may."""
    command, number, bad = COMMANDS[name], count(), []
    for index, param in enumerate(command.params):
        if isinstance(param, click.Option) and (param.is_flag or param.count):
            continue
        values = PATHS if isinstance(param.type, click.Path) else VALUES
        start = index * window % len(values)
        for value in (values * 2)[start : start + min(window, len(values))]:
            words = CALLS[name].replace("OUT", f"out{next(number)}").split()
            done = ptycho(*name.split(), *words_with(command, param, value, words))
            if not is_clean(done):
                bad.append((param.name, value[:40], done.code, done.err[-500:]))
    return bad


def test_every_command_is_swept():
    assert CALLS.keys() == COMMANDS.keys()


@pytest.mark.filterwarnings("default")  # an odd energy is warned of
@pytest.mark.parametrize("name", CALLS)
def test_hostile_values_end_in_one_clean_line(ptycho, folder, name):
    assert folder == Path.cwd()
    assert sweep(ptycho, name, WINDOW) == []


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", CALLS)
def test_every_option_with_every_hostile_value(ptycho, folder, name):
    assert folder == Path.cwd()
    assert sweep(ptycho, name, len(VALUES)) == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("simulate -o x.npz --seed -1", "0<=x<=4294967295"),
        ("simulate -o x.npz --jitter inf", "a finite number expected, found 'inf'"),
        ("simulate -o x.npz --N 9223372036854775808", "8<=x<=8192"),
        ("simulate -o x.npz --n-patterns 1_000", "an integer expected, found '1_000'"),
        ("reconstruct scan.npz -o x --tolerance nan", "a finite number expected, found 'nan'"),
        ("reconstruct scan.npz -o x --epochs 9223372036854775807", "1<=x<=1000000"),
        ("inspect scan.npz --pixel-size-m 1e-320", "too small, it must be >= 1e-30"),
        ("inspect scan.npz --pixel-size-m 1e308", "too large, it must be <= 1e+30"),
        ("inspect scan.npz --scan-index 2147483648", "too large, it must be <= 2147483647"),
        ("train scan.npz -o x --batch-size 9223372036854775808", "<= 2147483647 expected"),
        ("train scan.npz -o x --learning-rate 1e308", "and <= 1e30, or none expected"),
    ],
)
def test_the_rule_is_told(ptycho, folder, words, told):
    done = ptycho(*words.split())
    assert done.code == 2
    assert told in done.err
    assert not (folder / "x").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["fixture", "scan.npz", "-o", ""],
        ["simulate", "-o", ""],
        ["train", "scan.npz", "-o", ""],
        ["infer", "model", "scan.npz", "-o", ""],
        ["convert", "scan.npz", ""],
        ["evaluate", "result", "scan.npz", "-o", ""],
        ["train", "scan.npz", "-o", "x", "--probe-file", ""],
        ["inspect", ""],
    ],
)
def test_an_empty_path_is_not_the_working_directory(ptycho, folder, words):
    before = sorted(folder.iterdir())
    done = ptycho(*words)
    assert done.code == 2
    assert "a path" in done.err
    assert "expected, found ''" in done.err
    assert sorted(folder.iterdir()) == before
