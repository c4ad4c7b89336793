import tempfile
from concurrent.futures import ThreadPoolExecutor

import pytest
from ptycho_config import InvalidValueError
from ptycho_core.outputs import held_folder, output_file, output_folder, output_set
from ptycho_data import FolderInUseError, OutputExistsError


def test_checking_leaves_nothing_behind(tmp_path):
    (tmp_path / "there").mkdir()
    assert output_folder(tmp_path / "a" / "b", ["x"], overwrite=False) == tmp_path / "a" / "b"
    output_folder(tmp_path / "there", ["x"], overwrite=False)
    assert [path.name for path in tmp_path.rglob("*")] == ["there"]


def test_existing_output_needs_overwrite(tmp_path):
    (tmp_path / "x").write_text("old")
    with pytest.raises(OutputExistsError, match="--overwrite"):
        output_folder(tmp_path, ["y", "x"], overwrite=False)
    output_folder(tmp_path, ["x"], overwrite=True)
    assert (tmp_path / "x").read_text() == "old"


def test_file_in_the_way_of_a_folder(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(NotADirectoryError, match="is not a folder"):
            output_folder(path, ["x"], overwrite=True)


def test_folder_that_cannot_be_written(tmp_path, monkeypatch):
    # Permissions do not bind a superuser, which tests may run as: refuse like the system would.
    def refuse(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    with pytest.raises(PermissionError, match="cannot write into this folder"):
        output_folder(tmp_path, ["x"], overwrite=True)


def test_only_the_first_of_several_processes_holds_the_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    with held_folder(tmp_path, 2):
        assert not list(tmp_path.iterdir())
    monkeypatch.setenv("RANK", "0")
    with held_folder(tmp_path, 2):
        assert [path.name for path in tmp_path.iterdir()] == [".ptycho-lock"]
    monkeypatch.setenv("RANK", "1")  # of a job with one task for each training
    with held_folder(tmp_path):
        assert [path.name for path in tmp_path.iterdir()] == [".ptycho-lock"]


def test_the_others_of_several_processes_may_check_the_folder_that_the_first_holds(
    tmp_path, monkeypatch
):
    held = held_folder(tmp_path)
    with ThreadPoolExecutor(1) as other:
        other.submit(held.__enter__).result()
        with pytest.raises(FolderInUseError):
            output_set(tmp_path, None, ["x"], overwrite=True)
        monkeypatch.setenv("LOCAL_RANK", "1")
        output_set(tmp_path, None, ["x"], overwrite=True, processes=2)
        with pytest.raises(FolderInUseError):  # a second task with the output folder of the first
            output_set(tmp_path, None, ["x"], overwrite=True)
        other.submit(held.__exit__, None, None, None).result()


def test_output_file(tmp_path):
    assert output_file(tmp_path / "new" / "x", overwrite=False) == tmp_path / "new" / "x"
    with pytest.raises(IsADirectoryError, match="is a folder"):
        output_file(tmp_path, overwrite=True)


def test_inputs_are_never_outputs(tmp_path):
    path = tmp_path / "scan.npz"
    path.touch()
    output_file(tmp_path / "other", overwrite=True, inputs=[path, None, tmp_path / "missing"])
    for overwrite in (False, True):
        with pytest.raises(InvalidValueError) as caught:
            output_file(tmp_path / "." / "scan.npz", overwrite=overwrite, inputs=[path])
        assert caught.value.rule == "another file than the inputs"
