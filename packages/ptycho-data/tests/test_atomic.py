"""Files that appear whole or not at all."""

import contextlib
import errno
import hashlib
import io
import json
import os
import pickle
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from ptycho_config import InvalidValueError
from ptycho_data import NoSpaceError, _stack, need_space
from ptycho_data._files import (
    OutputExistsError,
    atomic_path,
    refuse_existing,
    write_json,
    write_npy,
    write_npz,
)


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def write(target: Path, content: bytes, *, overwrite: bool = False) -> None:
    with atomic_path(target, overwrite=overwrite) as temporary:
        temporary.write_bytes(content)


def write_and_fail(target: Path, *, overwrite: bool) -> None:
    with atomic_path(target, overwrite=overwrite) as temporary:
        temporary.write_bytes(b"half")
        raise ZeroDivisionError


@contextlib.contextmanager
def folder_that_cannot_be_written() -> Iterator[Path]:
    """Give a read-only folder; root may write anywhere, so root becomes nobody meanwhile."""
    with tempfile.TemporaryDirectory() as outer:
        folder = Path(outer) / "locked"
        folder.mkdir()
        Path(outer).chmod(0o755)
        folder.chmod(0o555)
        root = os.geteuid() == 0
        if root:
            os.seteuid(65534)
        try:
            yield folder
        finally:
            if root:
                os.seteuid(0)
            folder.chmod(0o755)


def test_the_file_appears_at_the_end_alone_and_complete(tmp_path):
    target = tmp_path / "deep" / "er" / "out.npz"
    with atomic_path(target) as temporary:
        assert temporary.parent.parent == target.parent
        assert temporary.suffix == ".npz"
        temporary.write_bytes(b"new")
        assert not target.exists()
    assert target.read_bytes() == b"new"
    assert names(target.parent) == ["out.npz"]


def test_permissions_are_those_of_any_new_file(tmp_path):
    (tmp_path / "plain").touch()
    with atomic_path(tmp_path / "out"):
        pass
    assert (tmp_path / "out").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_failure_leaves_nothing_behind(tmp_path, overwrite):
    with pytest.raises(ZeroDivisionError):
        write_and_fail(tmp_path / "a", overwrite=overwrite)
    assert names(tmp_path) == []


def test_a_failure_leaves_the_old_file(tmp_path):
    target = tmp_path / "a"
    target.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError):
        write_and_fail(target, overwrite=True)
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


def test_an_existing_file_is_refused_before_any_work(tmp_path):
    target = tmp_path / "a"
    target.write_bytes(b"old")
    with (
        pytest.raises(OutputExistsError, match=r"a: exists already.*--overwrite"),
        atomic_path(target),
    ):
        pytest.fail("the block must not run")
    write(target, b"new", overwrite=True)
    assert target.read_bytes() == b"new"


def test_a_dangling_link_counts_as_existing(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "nowhere")
    with pytest.raises(OutputExistsError), atomic_path(tmp_path / "a"):
        pass


def irregular(folder: Path, kind: str) -> Path:
    target = folder / "a"
    if kind == "FIFO":
        os.mkfifo(target)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(str(target))
    elif kind == "device":
        target.symlink_to(os.devnull)
    elif kind == "link":
        (folder / "b").write_bytes(b"theirs")
        target.symlink_to(folder / "b")
    elif kind == "dangling link":
        target.symlink_to(folder / "nowhere")
    return target


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has none of these")
@pytest.mark.parametrize("kind", ["FIFO", "socket", "device", "link", "dangling link"])
def test_what_is_no_regular_file_is_not_replaced(kind):
    with tempfile.TemporaryDirectory(dir="/tmp") as short:  # names of sockets are short
        target = irregular(Path(short), kind)
        before = target.lstat()
        with pytest.raises(InvalidValueError) as caught, atomic_path(target, overwrite=True):
            pytest.fail("the block must not run")
        assert caught.value.rule == "a regular file to be replaced"
        assert target.lstat().st_ino == before.st_ino
        assert target.lstat().st_mode == before.st_mode
        assert names(Path(short)) == (["a", "b"] if kind == "link" else ["a"])


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no FIFOs")
def test_a_fifo_that_appears_meanwhile_is_not_replaced(tmp_path):
    target = tmp_path / "a"

    def write_late() -> None:
        with atomic_path(target, overwrite=True) as temporary:
            temporary.write_bytes(b"mine")
            os.mkfifo(target)

    with pytest.raises(InvalidValueError):
        write_late()
    assert target.is_fifo()


FULL = [
    OSError(errno.ENOSPC, "No space left on device"),
    OSError(errno.EDQUOT, "Disk quota exceeded"),
    OSError("[Errno 28] Can't write data (file write failed: errno = 28, error message = ...)"),
    RuntimeError("Unable to flush file (errno = 28, error message = 'No space left on device')"),
]


@pytest.mark.parametrize("error", FULL, ids=lambda error: type(error).__name__)
def test_a_full_disk_names_the_file_and_spares_the_old_one(tmp_path, error):
    target = tmp_path / "a"
    target.write_bytes(b"old")

    def write_too_much() -> None:
        with atomic_path(target, overwrite=True) as temporary:
            temporary.write_bytes(b"half")
            raise error

    with pytest.raises(NoSpaceError) as caught:
        write_too_much()
    assert str(caught.value).startswith(f"{target}: the disk is full")
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["a"]
    assert pickle.loads(pickle.dumps(caught.value)).path == target  # noqa: S301


def test_room_is_checked_where_the_folder_will_be(tmp_path):
    need_space(tmp_path / "not" / "yet", 1)
    with pytest.raises(NoSpaceError, match=r"needs about .* GB, and the disk has"):
        need_space(tmp_path / "not" / "yet", 1 << 60)


@pytest.mark.parametrize("links", [True, False])
def test_a_file_that_appears_meanwhile_is_not_clobbered(tmp_path, monkeypatch, links):
    if not links:

        def no_link(*_: object) -> None:
            raise OSError(errno.ENOTSUP, "not supported")  # as on FAT and some mounts

        monkeypatch.setattr(os, "link", no_link)
    target = tmp_path / "a"

    def write_late() -> None:
        with atomic_path(target) as temporary:
            temporary.write_bytes(b"mine")
            target.write_bytes(b"theirs")

    with pytest.raises(OutputExistsError):
        write_late()
    assert target.read_bytes() == b"theirs"
    assert names(tmp_path) == ["a"]


def test_without_hard_links_the_file_is_written_all_the_same(tmp_path, monkeypatch):
    def no_link(*_: object) -> None:
        raise PermissionError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", no_link)
    write(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"
    assert names(tmp_path) == ["a"]


def test_a_killed_process_leaves_the_old_file(tmp_path):
    target = tmp_path / "a"
    target.write_bytes(b"old")
    program = (
        "import os, signal, sys\n"
        "from ptycho_data._files import atomic_path\n"
        "with atomic_path(sys.argv[1], overwrite=True) as path:\n"
        "    path.write_bytes(b'half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(target)], check=False)  # noqa: S603
    assert done.returncode == -signal.SIGKILL
    assert target.read_bytes() == b"old"


def test_a_full_disk_is_reported_with_the_name_of_the_file(tmp_path):
    target = tmp_path / "a"
    target.write_bytes(b"old")
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limit[1]))
    try:
        for much in (
            lambda: write(target, bytes(3000), overwrite=True),
            lambda: write_npz(target, {"a": np.zeros(3000)}, overwrite=True),
        ):
            with pytest.raises(NoSpaceError, match="grew beyond the largest size") as caught:
                much()
            assert (caught.value.errno, caught.value.path) == (errno.EFBIG, target)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


def test_a_file_that_vanishes_while_it_is_written_is_reported_by_its_own_name(tmp_path):
    target = tmp_path / "a"
    with pytest.raises(FileNotFoundError) as caught, atomic_path(target) as temporary:
        temporary.unlink()
    assert caught.value.filename == str(target)


def test_a_folder_that_cannot_be_written_is_named():
    with folder_that_cannot_be_written() as folder:
        for target in (folder / "a", folder / "deeper" / "a"):
            with pytest.raises(PermissionError) as caught, atomic_path(target):
                pass
            assert str(caught.value).startswith(f"{target.parent}: cannot write")
            assert "\n" not in str(caught.value)


def test_a_file_in_place_of_the_folder_is_named(tmp_path):
    (tmp_path / "f").touch()
    with pytest.raises(NotADirectoryError, match="f: is not a folder"):
        write(tmp_path / "f" / "a", b"")
    with pytest.raises(IsADirectoryError, match="is a folder, not a file"):
        write(tmp_path, b"", overwrite=True)


def test_a_name_of_the_greatest_length_works(tmp_path):
    target = tmp_path / ("n" * 251 + ".npz")
    with atomic_path(target):
        pass
    assert target.exists()


def test_the_error_survives_a_process_border(tmp_path):
    error = pickle.loads(pickle.dumps(OutputExistsError(tmp_path / "a")))  # noqa: S301
    assert error.path == tmp_path / "a"
    assert str(error).count("exists already") == 1


def test_json_is_what_it_was(tmp_path):
    content = {"b": np.float32(0.5), "a": (np.int64(3), [True, None]), "µ": Path("x/y")}
    written = write_json(tmp_path / "a.json", content)
    assert json.loads(written.read_bytes()) == {"b": 0.5, "a": [3, [True, None]], "µ": "x/y"}
    assert list(json.loads(written.read_bytes())) == ["b", "a", "µ"]
    with pytest.raises(OutputExistsError):
        write_json(tmp_path / "a.json", {})
    write_json(tmp_path / "a.json", {}, overwrite=True)
    assert (tmp_path / "a.json").read_bytes() == b"{}\n"


def test_what_json_cannot_say_leaves_no_file(tmp_path):
    with pytest.raises(TypeError, match="complex"):
        write_json(tmp_path / "a.json", {"a": 1j})
    assert names(tmp_path) == []


ARRAYS = hnp.arrays(
    st.sampled_from([np.uint16, np.float32, np.complex64, np.bool_, ">f8", "<U3"]),
    hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5),
)


@given(array=ARRAYS, transposed=st.booleans(), chunk=st.sampled_from([1, 16, 64, 2**23]))
def test_npy_round_trip_in_pieces_of_any_size(array, transposed, chunk):
    array = array.T if transposed else array
    stream = io.BytesIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_stack, "BLOCK_BYTES", chunk)
        patch.setattr(_stack, "_STRIDED_BLOCK_BYTES", chunk)
        write_npy(stream, array)
    stream.seek(0)
    back = np.load(stream, allow_pickle=False)
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)


@pytest.mark.parametrize("compress", [False, True])
def test_npz_round_trip_with_equal_bytes(tmp_path, compress):
    arrays = {
        "diffraction": np.arange(24, dtype=np.uint16).reshape(2, 3, 4)[:, ::-1].T,
        "scalar": np.float64(2.5),
        "text": np.array("µ"),
        "empty": np.zeros((0, 3)),
    }
    digests = set()
    for name in ("one.npz", "two.npz"):
        path = write_npz(tmp_path / name, arrays, compress=compress)
        digests.add(hashlib.sha256(path.read_bytes()).digest())
    assert len(digests) == 1
    with np.load(path, allow_pickle=False) as back:
        assert list(back) == list(arrays)
        for name, value in arrays.items():
            np.testing.assert_array_equal(back[name], value)
    with zipfile.ZipFile(path) as archive:
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_npz_of_a_memory_map_is_never_copied_whole(tmp_path):
    shape = (64, 256, 256)  # 16 MiB of float32
    stack = np.memmap(tmp_path / "stack", np.float32, "w+", shape=shape)
    stack[-1] = 1
    tracemalloc.start()
    write_npz(tmp_path / "out.npz", {"stack": stack, "turned": stack.transpose(0, 2, 1)})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * 2**20
    with np.load(tmp_path / "out.npz") as back:
        assert back["turned"][-1].all()


def test_npz_refuses_python_objects_before_it_starts(tmp_path):
    with pytest.raises(ValueError, match="bad must be numbers or strings"):
        write_npz(tmp_path / "a.npz", {"good": [1], "bad": np.array([None])})
    assert names(tmp_path) == []


def test_first_existing_output_is_refused(tmp_path):
    paths = [tmp_path / name for name in ("a", "b", "c")]
    refuse_existing(paths)
    (tmp_path / "b").symlink_to(tmp_path / "nowhere")  # dangling, and somebody's all the same
    (tmp_path / "c").touch()
    with pytest.raises(OutputExistsError, match="b: exists already"):
        refuse_existing(paths)
