"""Results of several files: old, new, or refused, never mixed."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from ptycho_config import InvalidValueError
from ptycho_data import (
    MANIFEST,
    MODEL_SET,
    RECONSTRUCTION_SET,
    OutputExistsError,
    ResultSetError,
    finish_commit,
    read_set,
    replaced_files,
    result_set,
)
from ptycho_data import _locks as locks

OLD = {"reconstruction.npz": "old 1", "metrics.json": "old 2", "half_scan_frc.png": "old 3"}
NEW = {"reconstruction.npz": "new 1", "metrics.json": "new 2", "product.h5": "new 4"}


def write(folder: Path, files: dict[str, str], kind=RECONSTRUCTION_SET, **options) -> None:
    with result_set(folder, kind, **options) as stage:
        for name, text in files.items():
            (stage / name).parent.mkdir(exist_ok=True)
            (stage / name).write_text(text)


def content(folder: Path) -> dict[str, str]:
    """Return everything in a folder but the manifest, by name."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    return {path.relative_to(folder).as_posix(): path.read_text() for path in files}


def test_a_set_appears_whole_with_its_manifest(tmp_path):
    folder = tmp_path / "deep" / "out"
    with result_set(folder, RECONSTRUCTION_SET) as stage:
        (stage / "reconstruction.npz").write_text("1")
        assert [p.name for p in folder.iterdir() if not p.name.startswith(".")] == []
    assert content(folder) == {"reconstruction.npz": "1"}
    digest = hashlib.sha256(b"1").hexdigest()
    assert (folder / MANIFEST).read_text() == f"{digest}  reconstruction.npz\n"
    assert read_set(folder, RECONSTRUCTION_SET) == folder / "reconstruction.npz"


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="needs sha256sum")
def test_sha256sum_checks_the_manifest(tmp_path):
    names = ("wts.h5.zip", "refined/1-a b.npz", "refined/2-line\nback\\slash\r.npz", "refined/3-µ")
    write(tmp_path, dict.fromkeys(names, "x"), MODEL_SET)
    done = subprocess.run(  # noqa: S603 - a program of every system, and our own file
        ["sha256sum", "-c", MANIFEST],  # noqa: S607 - the one on the path
        cwd=tmp_path, check=False, text=True, capture_output=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(": OK") == len(names)
    read_set(tmp_path, MODEL_SET)


def test_a_failure_leaves_the_old_set_and_no_new_folder(tmp_path):
    write(tmp_path / "a", OLD)

    def fail(folder: Path) -> None:
        with result_set(folder, RECONSTRUCTION_SET, overwrite=True) as stage:
            (stage / "reconstruction.npz").write_text("half")
            raise ZeroDivisionError

    for name in ("a", "b"):
        with pytest.raises(ZeroDivisionError):
            fail(tmp_path / name)
    assert content(tmp_path) == {f"a/{name}": text for name, text in OLD.items()}
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_overwriting_removes_what_the_new_set_lacks_and_nothing_else(tmp_path):
    write(tmp_path, OLD)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OutputExistsError) as caught:
        write(tmp_path, NEW)
    assert caught.value.path == tmp_path / "reconstruction.npz"
    write(tmp_path, NEW, overwrite=True)
    assert content(tmp_path) == {**NEW, "notes.txt": "mine"}


def test_overwriting_a_model_removes_the_refined_scans_of_the_old_one(tmp_path):
    write(tmp_path, {"wts.h5.zip": "1", "refined/1-a.npz": "1", "refined/2-b.npz": "1"}, MODEL_SET)
    write(tmp_path, {"wts.h5.zip": "2", "refined/1-b.npz": "2"}, MODEL_SET, overwrite=True)
    assert content(tmp_path) == {"wts.h5.zip": "2", "refined/1-b.npz": "2"}
    write(tmp_path, {"wts.h5.zip": "3"}, MODEL_SET, overwrite=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == [MANIFEST, "wts.h5.zip"]


def test_sets_of_an_older_version_are_replaced_whole(tmp_path):
    for name in ("wts.h5.zip", "run.json", "metrics.json", "refined/1-a.npz", "refined/mine.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("old")
    write(tmp_path, {"wts.h5.zip": "new"}, MODEL_SET, overwrite=True)
    assert content(tmp_path) == {"wts.h5.zip": "new", "refined/mine.txt": "old"}


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_holds_one_set(tmp_path, overwrite):
    write(tmp_path, {"wts.h5.zip": "1", "run.json": "1"}, MODEL_SET)
    for kind, files in (
        (RECONSTRUCTION_SET, {"reconstruction.npz": "2"}),
        (None, {"run.json": "2"}),
    ):
        with pytest.raises(InvalidValueError) as caught:
            write(tmp_path, files, kind, overwrite=overwrite)
        assert caught.value.got == MODEL_SET.title
    write(tmp_path, {"evaluation.json": "3"}, None, overwrite=overwrite)
    assert content(tmp_path) == {"wts.h5.zip": "1", "run.json": "1", "evaluation.json": "3"}
    read_set(tmp_path, MODEL_SET)


def test_files_that_belong_to_no_set_are_not_replaced(tmp_path):
    """A product with measured positions, for instance."""
    (tmp_path / "product.h5").write_text("measured")
    with pytest.raises(InvalidValueError) as caught:
        write(tmp_path, NEW, overwrite=True)
    assert caught.value.name == str(tmp_path / "product.h5")
    assert content(tmp_path) == {"product.h5": "measured"}


@pytest.mark.skipif(os.name == "nt", reason="Windows has no links for everybody")
def test_links_are_not_replaced(tmp_path):
    write(tmp_path / "out", OLD)
    (tmp_path / "out" / "metrics.json").rename(tmp_path / "elsewhere")
    (tmp_path / "out" / "metrics.json").symlink_to(tmp_path / "elsewhere")
    read_set(tmp_path / "out", RECONSTRUCTION_SET)
    with pytest.raises(InvalidValueError):
        replaced_files(tmp_path / "out", RECONSTRUCTION_SET, NEW, overwrite=True)
    with pytest.raises(InvalidValueError):
        write(tmp_path / "out", NEW, overwrite=True)
    assert (tmp_path / "elsewhere").read_text() == "old 2"


def remove(path: Path) -> None:
    path.unlink()


def change(path: Path) -> None:
    path.write_text("other")


@pytest.mark.parametrize("damage", [remove, change])
@pytest.mark.parametrize("name", sorted(OLD))
def test_a_missing_or_changed_file_is_noticed(tmp_path, damage, name):
    write(tmp_path, OLD)
    damage(tmp_path / name)
    with pytest.raises(ResultSetError, match=name):
        read_set(tmp_path, RECONSTRUCTION_SET)


@pytest.mark.skipif(os.name == "nt", reason="holes take room on Windows")
def test_a_file_of_endless_holes_is_not_read(tmp_path):
    write(tmp_path, OLD)
    os.truncate(tmp_path / "metrics.json", 1 << 42)
    with pytest.raises(ResultSetError, match="full of holes"):
        read_set(tmp_path, RECONSTRUCTION_SET)


def test_several_files_without_a_manifest_are_refused_and_one_alone_is_not(tmp_path):
    assert read_set(tmp_path, RECONSTRUCTION_SET) == tmp_path / "reconstruction.npz"
    (tmp_path / "reconstruction.npz").write_text("1")
    assert read_set(tmp_path, RECONSTRUCTION_SET) == tmp_path / "reconstruction.npz"
    (tmp_path / "product.h5").write_text("1")
    with pytest.raises(ResultSetError, match=r"name the file itself"):
        read_set(tmp_path, RECONSTRUCTION_SET)


HASH = "0" * 64
DAMAGED = ("", "x", f"{HASH} one space\n", f"{HASH}  no end", f"{HASH}  ../outside\n",
           f"{HASH}  /etc/passwd\n", f"{HASH}  a//b\n", f"{HASH}  reconstruction.npz\n\n",
           f"{HASH}  .ptycho-commit/a\n", f"{HASH}  a\n{HASH}  a\n")  # fmt: skip


def test_a_set_without_its_main_file_is_a_defect_of_the_program(tmp_path):
    with pytest.raises(ValueError, match=r"reconstruction\.npz was not written"):
        write(tmp_path, {"metrics.json": "1"})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", DAMAGED)
def test_a_damaged_manifest_is_refused_and_may_be_replaced(tmp_path, text):
    write(tmp_path, OLD)
    (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(ResultSetError):
        read_set(tmp_path, RECONSTRUCTION_SET)
    write(tmp_path, NEW, overwrite=True)
    assert content(tmp_path) == NEW


class Killed(BaseException):
    """The process is gone: nothing that it would still do happens."""


def kill_at(step: int, patch: pytest.MonkeyPatch) -> list[str]:
    """Let the operations on names before a step happen, and none from it on."""
    done: list[str] = []

    def counted(name: str) -> None:
        real = getattr(os, name)

        def operation(*arguments: object, **options: object) -> object:
            if len(done) >= step:
                raise Killed
            done.append(name)
            return real(*arguments, **options)

        patch.setattr(os, name, operation)

    for name in ("rename", "replace", "unlink", "rmdir", "mkdir", "link"):
        counted(name)
    return done


def killed_write(folder: Path, step: int, files: dict[str, str], kind, **options) -> bool:
    """Write a set and be killed; tell whether it came to that."""
    with pytest.MonkeyPatch.context() as patch:
        kill_at(step, patch)
        try:
            write(folder, files, kind, **options)
        except Killed:
            return True
        finally:
            locks._close_in_child()  # the system closes the files of a process that is gone
    return False


MODELS = (
    {"wts.h5.zip": "old", "run.json": "old", "refined/1-a.npz": "old", "refined/2-a.npz": "old"},
    {"wts.h5.zip": "new", "metrics.json": "new", "refined/1-b.npz": "new"},
)
PAIRS = ({"a.npz": "old", "a.json": "old"}, {"a.npz": "new", "a.json": "new"})
CASES = {
    "reconstruction": (RECONSTRUCTION_SET, OLD, NEW),
    "first reconstruction": (RECONSTRUCTION_SET, {}, NEW),
    "model": (MODEL_SET, *MODELS),
    "pair": (None, *PAIRS),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("then", ["read", "write", "killed"])
def test_a_writer_killed_at_any_moment_leaves_the_old_set_or_the_new_one(tmp_path, case, then):
    kind, old, new = CASES[case]
    newest = dict.fromkeys(new, "newest")
    seen = []
    for step in range(100):
        folder = tmp_path / str(step)
        folder.mkdir()
        if old:
            write(folder, old, kind)
        killed = killed_write(folder, step, new, kind, overwrite=True)
        before = content(folder)
        if then == "killed":  # while it finishes the work of the first
            killed_write(folder, step % 7, newest, kind, overwrite=True)
        if then == "write":
            write(folder, {"beside": "x"}, None)
        finish_commit(folder)
        if kind is not None:
            read_set(folder, kind)
        found = content(folder)
        found.pop("beside", None)
        left = {name for name in found if name.startswith(".ptycho-")}
        whole = {name: text for name, text in found.items() if name not in left}
        assert whole in (old, new, newest), step
        assert not any(
            part.startswith(".ptycho-commit") for name in left for part in name.split("/")
        )
        if then == "write":
            assert not left
        seen.append((killed, before == old))
        if not killed:
            break
    assert len(seen) > 8
    assert not seen[-1][0]


def test_work_that_cannot_be_finished_here_is_refused(tmp_path):
    write(tmp_path, OLD)
    step = next(
        step for step in range(100)
        if killed_write(tmp_path, step, NEW, RECONSTRUCTION_SET, overwrite=True)
        and (tmp_path / ".ptycho-commit").exists()
    )  # fmt: skip
    assert step > 1
    mode = tmp_path.stat().st_mode
    root = os.name != "nt" and os.geteuid() == 0
    for parent in (*tmp_path.parents,)[:3]:
        if parent.name.startswith(("pytest", "popen")):
            parent.chmod(0o755)
    tmp_path.chmod(0o555)
    if root:
        os.seteuid(65534)
    try:
        with pytest.raises(ResultSetError, match="cannot be finished here"):
            read_set(tmp_path, RECONSTRUCTION_SET)
    finally:
        if root:
            os.seteuid(0)
        tmp_path.chmod(mode)
    read_set(tmp_path, RECONSTRUCTION_SET)
    assert content(tmp_path) == NEW


@pytest.mark.parametrize("remove", ["../outside", "/etc/passwd", "linked/outside", ".ptycho-x"])
def test_a_commit_folder_from_somebody_else_reaches_nothing_outside(tmp_path, remove):
    folder, outside = tmp_path / "in", tmp_path / "outside"
    commit = folder / ".ptycho-commit"
    commit.mkdir(parents=True)
    outside.write_text("mine")
    (folder / "linked").symlink_to(tmp_path)
    (commit / ".ptycho-remove").write_text(f'["{remove}"]')
    if remove == "linked/outside":
        finish_commit(folder)
        (commit / "linked").mkdir(parents=True)
        (commit / "linked" / "outside").write_text("theirs")
        (commit / ".ptycho-remove").write_text("[]")
    with pytest.raises(ResultSetError):
        finish_commit(folder)
    assert outside.read_text() == "mine"


@pytest.mark.parametrize("strange", ["link", "file", "member"])
def test_a_commit_folder_of_another_kind_is_refused(tmp_path, strange):
    folder, commit = tmp_path / "in", tmp_path / "in" / ".ptycho-commit"
    folder.mkdir()
    (tmp_path / "elsewhere").mkdir()
    if strange == "link":
        commit.symlink_to(tmp_path / "elsewhere")
    elif strange == "file":
        commit.write_text("x")
    else:
        commit.mkdir()
        (commit / ".ptycho-remove").write_text("[]")
        (commit / "reconstruction.npz").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ResultSetError):
        finish_commit(folder)
    assert not (folder / "reconstruction.npz").exists()
