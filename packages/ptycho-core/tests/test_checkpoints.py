"""Checkpoint files: which is resumed from, which are kept, and what an end in between leaves."""

import io
import os
import shutil
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
from ptycho_config import PyTorchExecutionConfig
from ptycho_config.errors import InvalidValueError, MissingFileError
from ptycho_core.checkpoints import (
    CheckpointFiles,
    KeptEpochs,
    check_room,
    check_whole,
    newest_whole,
    replacing,
    write_sealed,
)
from ptycho_core.checks import check_outputs
from ptycho_data import FolderInUseError, NoSpaceError, OutputExistsError, load_arrays
from ptycho_physics import DivergenceError


@pytest.fixture
def files(tmp_path):
    return CheckpointFiles("last.npz", "best-{:03}.npz").below(tmp_path)


def save(path, **arrays):
    content = io.BytesIO()
    np.savez(content, **arrays)
    write_sealed(path, content.getbuffer())


def write(path, epochs):
    save(path, epochs=epochs, noise=np.random.default_rng(epochs).normal(size=100))


def read(path):
    arrays = load_arrays(path)
    if "epochs" not in arrays:
        raise InvalidValueError(str(path), "a checkpoint", "another file")
    return int(arrays["epochs"]), arrays


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def flip(path, offset):
    content = bytearray(path.read_bytes())
    content[offset] ^= 1 << offset % 8
    path.write_bytes(content)


def test_every_changed_byte_is_noticed(files):
    write(files.last, 3)
    check_whole(files.last)
    whole = files.last.read_bytes()
    for offset in range(len(whole)):
        flip(files.last, offset)
        with pytest.raises(InvalidValueError, match="damaged"):
            check_whole(files.last)
        files.last.write_bytes(whole)


def test_the_archive_is_read_by_programs_that_do_not_know_of_its_seal(files):
    write(files.last, 3)
    with np.load(files.last) as arrays:
        assert arrays["epochs"] == 3
    with zipfile.ZipFile(files.last) as archive:
        assert archive.testzip() is None
        assert archive.comment.startswith(b"SHA-256 ")


def test_every_truncation_is_noticed(files):
    write(files.last, 3)
    whole = files.last.read_bytes()
    for length in range(0, len(whole), 7):
        files.last.write_bytes(whole[:length])
        with pytest.raises(InvalidValueError) as refused:
            check_whole(files.last)
        assert refused.value.name == str(files.last)


def test_what_is_no_regular_file_is_refused_without_being_opened(files):
    files.folder.mkdir()
    os.mkfifo(files.last)
    with pytest.raises(InvalidValueError, match="no regular file"):
        check_whole(files.last)
    files.last.unlink()
    files.last.mkdir()
    with pytest.raises(InvalidValueError, match="no regular file"):
        check_whole(files.last)


def damage(path):
    flip(path, path.stat().st_size // 2)


def test_the_last_epoch_is_resumed_from_if_it_is_whole(files, caplog):
    for path, epochs in ((files.best(4), 5), (files.last, 4)):
        write(path, epochs)
    path, epochs, _ = newest_whole(files, read)
    assert (path, epochs) == (files.last, 4)
    assert not caplog.records


@pytest.mark.parametrize("last", ["damaged", "missing", "another file"])
def test_otherwise_the_latest_of_the_best_that_is_whole(files, caplog, last):
    for epoch in (2, 8, 11, 1000):
        write(files.best(epoch), epoch + 1)
    damage(files.best(1000))
    if last == "damaged":
        write(files.last, 1002)
        damage(files.last)
    elif last == "another file":
        save(files.last, object=np.ones(3))
    path, epochs, _ = newest_whole(files, read)
    assert (path, epochs) == (files.best(11), 12)
    (told,) = caplog.messages
    assert "\n" not in told
    assert all(part in told for part in (str(files.last), str(files.best(11)), "epoch 12"))


def test_without_a_whole_one_the_last_is_named(files):
    for path in (files.last, files.best(0)):
        write(path, 1)
        damage(path)
    with pytest.raises(InvalidValueError, match="--overwrite") as refused:
        newest_whole(files, read)
    assert refused.value.name == str(files.last)


def execution(**changes):
    return PyTorchExecutionConfig(**changes)


@pytest.mark.parametrize(
    ("most", "mode", "expected"),
    [
        (1, "min", [2]),
        (2, "min", [2, 3]),
        (2, "max", [0, 1]),
        (0, "min", []),
        (-1, "min", range(5)),
    ],
)
def test_the_best_epochs_are_kept(files, most, mode, expected):
    kept = KeptEpochs(files, execution(checkpoint_save_top_k=most, checkpoint_mode=mode))
    for epoch, loss in enumerate([5.0, 4.0, 1.0, 2.0, float("nan")]):
        kept.save(epoch, loss, lambda path, n=epoch: write(path, n + 1))
        assert read(files.last)[0] == epoch + 1
    assert names(files.folder) == sorted(["last.npz", *(files.best(e).name for e in expected)])
    if len(expected) in (1, 2):
        assert kept.best == files.best(expected[0])


def test_killed_at_any_moment_the_last_epoch_has_its_best_ones(files):
    """A write that does not return stands for the end of the process."""

    class Killed(BaseException):
        pass

    losses = [3.0, 1.0, 2.0, 0.5]
    for moment in range(8):
        shutil.rmtree(files.folder, ignore_errors=True)
        kept, written = KeptEpochs(files, execution()), []

        def write_kept(path, kept=kept, written=written, moment=moment):
            if len(written) == moment:
                raise Killed
            written.append(path)
            save(path, kept=[name for _, name in kept.kept])

        for epoch, loss in enumerate(losses):
            try:
                kept.save(epoch, loss, write_kept)
            except Killed:
                break
        if files.last.exists():
            for name in load_arrays(files.last)["kept"]:
                check_whole(files.folder / str(name))


def test_a_best_epoch_that_was_damaged_since_is_no_longer_the_best(files, caplog):
    for epoch in (0, 1):
        write(files.best(epoch), epoch + 1)
    damage(files.best(1))
    kept = KeptEpochs(files, execution(checkpoint_save_top_k=2))
    kept.restore([(1.0, files.best(1).name), (2.0, files.best(0).name)])
    assert kept.best == files.best(0)
    assert str(files.best(1)) in caplog.text


def test_what_a_killed_training_left_behind_is_removed(files):
    for path in (files.last, files.best(1), files.best(2)):
        write(path, 1)
    (files.folder / "notes.txt").touch()
    kept = KeptEpochs(files, execution())
    kept.restore([(1.0, files.best(2).name)])
    kept.tidy()
    assert names(files.folder) == [files.best(2).name, "last.npz", "notes.txt"]


def test_a_disk_without_room_is_refused_before_the_first_epoch(files):
    free = shutil.disk_usage(files.folder.parent).free
    check_room(files, free // 10, execution(), 100)
    with pytest.raises(NoSpaceError) as refused:
        check_room(files, free // 2, execution(), 100)
    assert refused.value.path == files.folder
    with pytest.raises(NoSpaceError):
        check_room(files, free // 50, execution(checkpoint_save_top_k=-1), 100)
    assert not files.folder.exists()


def work(files, error, *, saves):
    with replacing(files, keep=False):
        assert not files.folder.exists()
        if saves:
            write(files.last, 1)
        raise error


@pytest.mark.parametrize(
    ("error", "saves"),
    [
        (DivergenceError("late"), True),
        (ValueError(), False),
        (OSError(), False),
        (KeyboardInterrupt(), False),
    ],
)
def test_the_files_of_before_come_back_if_the_work_diverges_or_saves_nothing(files, error, saves):
    write(files.last, 7)
    with pytest.raises(type(error)):
        work(files, error, saves=saves)
    assert read(files.last)[0] == 7
    assert names(files.folder.parent) == ["checkpoints"]


@pytest.mark.parametrize("error", [OSError("full"), KeyboardInterrupt("full")])
def test_what_was_saved_before_the_work_stopped_stays(files, error):
    write(files.last, 7)
    with pytest.raises(type(error), match="full"):
        work(files, error, saves=True)
    with replacing(files, keep=True):
        assert read(files.last)[0] == 1
    assert names(files.folder.parent) == ["checkpoints"]


@pytest.mark.parametrize("saved", [False, True])
@pytest.mark.parametrize("resume", [False, True])
def test_work_that_was_killed_leaves_the_newer_training_that_saved_something(files, saved, resume):
    write(files.old.last, 7)
    if saved:
        write(files.best(0), 1)
    elif resume:  # killed while it wrote its first checkpoint
        files.folder.mkdir()
        (files.folder / ".ptycho-0123456789abcdef").mkdir()
    check_outputs(files.folder.parent / "wts.h5.zip", files, resume=True, overwrite=False)
    with pytest.raises(OutputExistsError):
        check_outputs(files.folder.parent / "wts.h5.zip", files, resume=False, overwrite=False)
    with replacing(files, keep=resume):
        found = files if resume else files.old
        assert newest_whole(found, read)[1] == (1 if saved else 7)
        if not resume:
            write(files.last, 2)
    assert names(files.folder.parent) == ["checkpoints"]


def test_two_trainings_in_one_folder_are_one_too_many(files):
    found = []

    def second():
        with pytest.raises(FolderInUseError), replacing(files, keep=False):
            found.append("entered")
        found.append("refused")

    with replacing(files, keep=False):
        write(files.last, 1)
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
    assert found == ["refused"]
    assert read(files.last)[0] == 1


def test_outputs_that_are_there_are_kept_unless_told(files):
    target = files.folder.parent / "wts.h5.zip"
    check_outputs(target, files, resume=False, overwrite=False)
    with pytest.raises(MissingFileError, match="nothing to resume from"):
        check_outputs(target, files, resume=True, overwrite=True)
    write(files.last, 1)
    check_outputs(target, files, resume=True, overwrite=False)
    check_outputs(target, files, resume=False, overwrite=True)
    for path in (files.last, target):
        path.touch()
        with pytest.raises(OutputExistsError, match=f"{path}: exists already"):
            check_outputs(target, files, resume=False, overwrite=False)


def test_checkpoints_of_the_other_backend_are_told_apart(files):
    other = Path(files.folder) / "last.ckpt"
    other.parent.mkdir()
    other.touch()
    write(files.old.last, 7)
    with pytest.raises(MissingFileError, match="written by the other backend"):
        check_outputs(files.folder.parent / "wts.h5.zip", files, resume=True, overwrite=False)


def test_a_folder_behind_a_link_is_replaced_like_any_other(files, tmp_path):
    elsewhere = tmp_path / "scratch"
    elsewhere.mkdir()
    files.folder.symlink_to(elsewhere)
    write(files.last, 7)
    with replacing(files, keep=False):
        write(files.last, 1)
    assert read(files.last)[0] == 1
    assert names(tmp_path) == ["checkpoints", "scratch"]
