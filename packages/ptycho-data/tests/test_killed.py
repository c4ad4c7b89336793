"""Writers killed in the middle: the old file or the new one, never a part of either."""

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
import numpy as np
import pytest
from ptycho_data import load_bundle, load_reconstruction, load_scan, write_json
from ptycho_data._staging import LEFTOVER_AGE_S, OWNER

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")

#: Writes version 0, 1, 2, ... of a file over the same path until it is killed; says when it starts.
WRITER = """
import itertools, sys
from pathlib import Path
import numpy as np
from ptycho_data import (Bundle, Reconstruction, Scan, save_bundle, save_product,
                         save_reconstruction, save_scan, write_json)
from ptycho_data.formats import format_named

target = Path(sys.argv[1])
ones = np.ones((8, 8))

def scan(k):
    return Scan(diffraction=np.full((600, 8, 8), k + 1, np.uint16), xcoords=np.arange(600.0),
                ycoords=np.full(600, k + 1.0), probe=ones.astype(np.complex64), domain="counts",
                pixel_size_m=1e-8)

def reconstruction(k):
    return Reconstruction(object=np.full((300, 300), k + 1, np.complex64),
                          coverage=np.full((300, 300), k + 1, np.float32), xcoords=[4.0],
                          ycoords=[4.0], indices=[0], probe=ones[None].astype(np.complex64),
                          origin=[k, k])

def bundle(k):
    return Bundle(config={"N": 8}, overrides_applied={}, scaling={}, history={"loss": [float(k)]},
                  probe=np.full((1, 8, 8), k + 1, np.complex64), backend="pytorch", versions={},
                  weights={"w": np.full((300, 300), k, np.float32)})

writers = {
    "scan.npz": lambda k: save_scan(target, scan(k), overwrite=True),
    "reconstruction.npz": lambda k: save_reconstruction(target, reconstruction(k), overwrite=True),
    "product.h5": lambda k: save_product(target, reconstruction(k), overwrite=True),
    "scan.cxi": lambda k: format_named("cxi").write(target, scan(k), True),
    "report.json": lambda k: write_json(target, {"k": [k] * 20_000}, overwrite=True),
    "wts.h5.zip": lambda k: save_bundle(target, bundle(k), overwrite=True),
}
write = writers[target.name]
write(0)
print("written", flush=True)
for k in itertools.count(1):
    write(k)
"""


def version_of(path: Path) -> int:
    """Read a whole file with its own reader; return its version, the same everywhere in it."""
    if path.suffix == ".json":
        (version,) = set(json.loads(path.read_text("utf-8"))["k"])
        return version
    if path.name == "reconstruction.npz":
        rec = load_reconstruction(path)
        assert np.unique(rec.object).size == np.unique(rec.coverage).size == 1
        assert rec.object[0, 0] == rec.coverage[0, 0] == rec.origin[0] + 1
        return int(rec.origin[0])
    if path.suffix == ".zip":
        bundle = load_bundle(path)
        assert np.unique(bundle.weights["w"]).tolist() == bundle.history["loss"]
        return int(bundle.history["loss"][0])
    if path.suffix == ".h5":
        with h5py.File(path) as file:
            (value,) = np.unique(file["object"][()].real)
            assert len(file["loss_values"]) == 0  # the last thing written
        return int(value) - 1
    scan = load_scan(path)
    (value,) = np.unique(scan.diffraction[:])
    return int(value) - 1


KINDS = (
    "scan.npz", "reconstruction.npz", "product.h5", "scan.cxi", "report.json", "wts.h5.zip",
)  # fmt: skip


@contextlib.contextmanager
def writing(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Start a writer that has to be killed in the block."""
    with subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "written\n"
            yield process
        finally:
            process.kill()
    assert process.returncode == -signal.SIGKILL


def wait_for_an_unfinished_file(process: subprocess.Popen[str], folder: Path) -> None:
    """Stop the process at a moment when a temporary file of its lies in the folder.

    Its staging folder then holds more than the lock. Before it has the lock, another writer may
    take the folder for a leftover.
    """
    give_up = time.monotonic() + 60
    while time.monotonic() < give_up:
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        if any(p.name != OWNER for p in folder.glob(".ptycho-*/*")):
            return
        process.send_signal(signal.SIGCONT)
        time.sleep(random.uniform(0, 0.003))  # noqa: S311 - no secret
    pytest.fail("no unfinished file was seen in a minute")


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("times", [1, pytest.param(17, marks=pytest.mark.slow)])
def test_a_killed_writer_leaves_a_whole_file(name, times, tmp_path):
    path, chance = tmp_path / name, random.Random(name)  # noqa: S311 - delays, no secrets
    versions = []
    for _ in range(times):
        with writing(path):
            time.sleep(chance.uniform(0.005, 0.06))
        versions.append(version_of(path))
    if times > 1:  # a single one may come too early
        assert max(versions) > 0
    left = [p for p in tmp_path.iterdir() if p != path]
    assert all(p.name.startswith(".ptycho-") for p in left)
    write_json(tmp_path / "next.json", {})
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([name, "next.json"])


@pytest.mark.parametrize("name", KINDS)
def test_a_writer_killed_between_the_first_byte_and_the_last(name, tmp_path):
    """Not left to chance: the writer is stopped, seen to have an unfinished file, and killed."""
    path = tmp_path / name
    with writing(path) as process:
        wait_for_an_unfinished_file(process, tmp_path)
        process.kill()
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".ptycho-")]
    assert version_of(path) >= 0


def test_the_next_writer_spares_one_that_lives(tmp_path):
    with writing(tmp_path / "scan.npz") as process:
        wait_for_an_unfinished_file(process, tmp_path)
        write_json(tmp_path / "out.json", {})
        assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".ptycho-")]
        process.kill()
    write_json(tmp_path / "out.json", {}, overwrite=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.json", "scan.npz"]


def test_unlocked_leftovers_go_after_a_day_and_nothing_else_does(tmp_path):
    """Those of earlier versions, which were files."""
    old = time.time() - LEFTOVER_AGE_S - 60
    names = {
        ".ptycho-0123456789abcdef.npz": True, ".ptycho-0123456789abcdef": True,
        ".ptycho-notes.txt": False, "ptycho-0123456789abcdef.npz": False, "old.npz": False,
    }  # fmt: skip
    for name in names:
        (tmp_path / name).write_text("x")
        os.utime(tmp_path / name, (old, old))
    (tmp_path / ".ptycho-fedcba9876543210.npz").write_text("somebody is at it")
    (tmp_path / ".ptycho-aaaaaaaaaaaaaaaa").mkdir()  # killed before it locked
    write_json(tmp_path / "out.json", json.loads("{}"))
    kept = {name for name, goes in names.items() if not goes}
    kept |= {".ptycho-fedcba9876543210.npz", "out.json"}
    assert {p.name for p in tmp_path.iterdir()} == kept
