"""One writer per folder, named by the lock, which dies with it."""

import contextlib
import errno
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from ptycho_data import FolderInUseError, folder_lock
from ptycho_data import _locks as locks

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no locks on Windows")

HOLD = """
import sys
from ptycho_data import folder_lock
with folder_lock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def held_by_another_process(folder: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-c", HOLD, str(folder)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def take(folder: Path, **options: float) -> None:
    with folder_lock(folder, **options):
        pass


def test_the_second_is_told_who_holds_it(tmp_path):
    with held_by_another_process(tmp_path) as process:
        with pytest.raises(FolderInUseError) as caught:
            take(tmp_path)
        assert f"process {process.pid} on " in caught.value.holder
        assert re.search(r"since \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ; ", str(caught.value))
        assert pickle.loads(pickle.dumps(caught.value)).holder == caught.value.holder  # noqa: S301
        process.send_signal(signal.SIGKILL)
        process.wait()
        take(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_writer_waits_for_another_that_ends(tmp_path):
    with held_by_another_process(tmp_path) as process:
        threading.Timer(0.2, process.kill).start()
        take(tmp_path, wait_s=30)


def test_one_thread_may_take_it_twice_and_another_may_not(tmp_path):
    errors = []

    def other() -> None:
        try:
            take(tmp_path)
        except FolderInUseError as error:
            errors.append(error)

    def in_thread() -> int:
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        return len(errors)

    with folder_lock(tmp_path):
        take(tmp_path)
        assert in_thread() == 1
    assert in_thread() == 1


def test_a_folder_made_for_the_lock_goes_with_it(tmp_path):
    take(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []
    with folder_lock(tmp_path / "a" / "b"):
        (tmp_path / "a" / "b" / "result").touch()
    assert [p.name for p in (tmp_path / "a" / "b").iterdir()] == ["result"]


@pytest.mark.parametrize("text", ["pid 1 on \x1b[31mhost since x\n", "a" * 10_000, ""])
def test_nothing_of_a_strange_lock_is_repeated(tmp_path, text):
    path = tmp_path / locks.LOCK_NAME
    path.write_text(text)
    descriptor = locks.locked_file(path)
    try:
        with pytest.raises(FolderInUseError) as caught:
            take(tmp_path)
        assert caught.value.holder == "another process"
    finally:
        locks.unlock(descriptor)


def test_a_link_in_its_place_is_not_followed(tmp_path):
    (tmp_path / "mine").write_text("mine")
    (tmp_path / locks.LOCK_NAME).symlink_to(tmp_path / "mine")
    with pytest.raises(OSError, match="cannot write into this folder"):
        take(tmp_path)
    assert (tmp_path / "mine").read_text() == "mine"


def test_a_file_system_without_locks_is_told_and_used(tmp_path, monkeypatch, caplog):
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(locks.fcntl, "flock", no_locks)
    take(tmp_path)
    take(tmp_path)
    assert [r.levelname for r in caplog.records] == ["WARNING"]
    assert "knows no locks" in caplog.text


def test_a_child_does_not_hold_the_lock_of_its_parent(tmp_path):
    """Worker processes may outlive the one that was killed."""
    program = (
        "import os, sys, time\n"
        "from ptycho_data import folder_lock\n"
        "with folder_lock(sys.argv[1]):\n"
        "    child = os.fork()\n"
        "    if child == 0:\n"
        "        time.sleep(60)\n"
        "    print(child, flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    with subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        process.wait()
        try:
            take(tmp_path, wait_s=5)  # the child closes its copy when it starts to run
        finally:
            os.kill(child, signal.SIGKILL)
