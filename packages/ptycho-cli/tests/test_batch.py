"""Many scans in one command."""

import json
import shutil
import subprocess
import sys

import pytest
from ptycho_core.testing import FakeBackend, registered
from ptycho_data import PICTURE_FILES

SOLVE = ("--epochs", 1, "--no-pictures")


@pytest.fixture
def scans(scan_file, tmp_path):
    """A folder of three scans, of which the second is broken."""
    folder = tmp_path / "scans"
    folder.mkdir()
    for name in ("s_9.npz", "s_11.npz"):
        shutil.copy(scan_file, folder / name)
    (folder / "s_10.npz").write_bytes(b"PK no zip")
    return folder


def lines(done):
    return [json.loads(line) for line in done.out.splitlines()]


def test_a_failure_ends_the_batch_or_is_one_row_of_the_table(ptycho, scans, tmp_path):
    command = ("reconstruct", scans / "*.npz", "-o", tmp_path / "out", *SOLVE)
    done = ptycho(*command)
    assert done.code == 1
    assert "3 scans: 1 done, 1 failed, 1 not begun" in done.out
    assert "--keep-going goes on" in done.err
    exists = ptycho(*command)
    assert exists.code == 3
    assert exists.fails_with("s_9/reconstruction.npz", "exists already")
    assert "--skip-done" in exists.err
    done = ptycho(*command, "--skip-done", "--keep-going")
    assert done.code == 1
    head, *rows, total, reason = done.out.splitlines()
    assert head.split()[:2] == ["scan", "state"]
    assert [row.split()[:2] for row in rows] == [
        ["s_9", "skipped"], ["s_10", "failed"], ["s_11", "done"],
    ]  # fmt: skip
    assert total.startswith("3 scans: 1 done, 1 skipped, 1 failed, in ")
    assert reason.startswith("s_10: ")
    assert "NPZ or HDF5" in reason
    (scans / "s_10.npz").unlink()
    assert ptycho(*command, "--skip-done").code == 0


def test_lines_of_json_alone_are_on_standard_output(ptycho, scans, tmp_path):
    (scans / "s_10.npz").unlink()
    args = (*SOLVE, "--json", "--fail-above", "0.001")
    done = ptycho("reconstruct", scans / "*.npz", "-o", tmp_path / "out", *args)
    assert done.code == 4
    assert [line["name"] for line in lines(done)] == ["s_9", "s_11"]
    for line in lines(done):
        assert (line["state"], line["code"]) == ("below quality", 4)
        assert "--fail-above" in line["reason"]
        assert line["metrics"]["r_over_noise"] > 1
        assert line["patterns"] == 60
        assert not (tmp_path / "out" / line["name"] / PICTURE_FILES[0]).exists()
        assert (tmp_path / "out" / line["name"] / "reconstruction.npz").is_file()
    again = ptycho("reconstruct", scans / "*.npz", "-o", tmp_path / "out", *args, "--skip-done")
    assert again.code == 4  # what is poor stays poor
    assert [line["metrics"] for line in lines(again)] == [line["metrics"] for line in lines(done)]
    assert lines(again)[0]["patterns"] == 60


def test_one_scan_has_a_line_and_the_error_of_one(ptycho, scans, tmp_path):
    command = ("reconstruct", scans / "s_9.npz", "-o", tmp_path / "out", *SOLVE, "--json")
    (line,) = lines(ptycho(*command))
    assert (line["output"], line["state"]) == (str(tmp_path / "out"), "done")
    done = ptycho(*command, "--skip-done")
    assert [line["state"] for line in lines(done)] == ["skipped"]
    broken = ptycho("reconstruct", scans / "s_10.npz", "-o", tmp_path / "no", *SOLVE, "--json")
    assert broken.fails_with("NPZ or HDF5")
    assert [(line["state"], line["code"]) for line in lines(broken)] == [("failed", 1)]


def test_the_home_folder_holds_the_result_of_one_scan(ptycho, scan_file, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    done = ptycho("reconstruct", scan_file, "-o", "~/solved", *SOLVE)
    assert done.code == 0
    assert done.out.startswith(f"{tmp_path}/solved: R-factor")


def test_a_name_puts_even_one_scan_below_the_output(ptycho, scans, tmp_path):
    args = ("-o", tmp_path / "out", *SOLVE, "--name", "{parent}.{number:02d}")
    assert ptycho("reconstruct", scans / "s_9.npz", *args).code == 0
    assert (tmp_path / "out" / "scans.01" / "reconstruction.npz").is_file()


@pytest.mark.parametrize(
    ("args", "word"),
    [
        (("s_9.npz", "s_9.npz"), "must be different files"),
        (("*.h5",), "matches no file"),
        (("gone.npz",), "does not exist"),
        (("*.npz", "--name", "same"), "must be different"),
        (("*.npz", "--name", "{stem.__class__}"), "name must be text with {stem}"),
        (("*.npz", "--companion", "s_9.npz"), "several scans"),
        (("*.npz", "--first-probe", "zone-plate:size=1"), "zone-plate"),
    ],
)
def test_what_cannot_work_for_any_scan_is_wrong_usage(
    ptycho, scans, tmp_path, monkeypatch, args, word
):
    monkeypatch.chdir(scans)
    done = ptycho("reconstruct", *args, "-o", tmp_path / "out", "--keep-going")
    assert done.code == 2
    assert done.fails_with(word)
    assert not (tmp_path / "out").exists()


def test_names_of_files_do_not_control_the_terminal(ptycho, scans, tmp_path):
    shutil.copy(scans / "s_9.npz", scans / "a\nno violation\x1b[2J.npz")
    args = ("-o", tmp_path / "out", *SOLVE, "--keep-going")
    done = ptycho("reconstruct", scans / "*.npz", *args)
    assert done.code == 1
    assert all(line.isprintable() for line in (done.out + done.err).split("\n"))
    assert not any(line.startswith("no violation") for line in done.out.split("\n"))


@pytest.fixture
def model(ptycho, scans, tmp_path, stand_in):  # noqa: ARG001 - what it trains with
    assert ptycho("train", scans / "s_9.npz", "-o", tmp_path / "model").code == 0
    return tmp_path / "model"


def test_a_model_is_read_once_for_all_scans(ptycho, model, scans, tmp_path, stand_in):
    command = ("infer", model, scans / "*.npz", "-o", tmp_path / "out", "--no-pictures")
    done = ptycho(*command, "--keep-going", "--n-groups", "9")
    assert done.code == 1
    assert [line.split()[:2] for line in done.out.splitlines()[1:4]] == [
        ["s_9", "done"], ["s_10", "failed"], ["s_11", "done"],
    ]  # fmt: skip
    bundles = {id(call["bundle"]) for call in stand_in.reconstructions}
    assert len(bundles) == 1
    assert done.err.count("settings from command line: n_groups=9") == 1
    for name in ("s_9", "s_11"):
        run = json.loads((tmp_path / "out" / name / "run.json").read_text())
        assert run["inputs"].keys() == {"model_path", "test_data_file"}
        assert run["asked"] == {"n_groups": 9}
    other = ptycho(*command, "--skip-done")
    assert other.code == 3
    assert "n_groups 9, not unset" in other.out
    replaced = ptycho(*command, "--skip-done", "--overwrite", "--keep-going")
    assert replaced.out.splitlines()[-2].startswith("3 scans: 2 done, 1 failed")


def test_settings_of_all_scans_are_refused_once(ptycho, model, scans, tmp_path, stand_in):
    args = ("-o", tmp_path / "out", "--keep-going", "--accelerator", "tpu")
    done = ptycho("infer", model, scans / "*.npz", *args)
    assert done.code == 2
    assert done.err.startswith("error: accelerator must be")
    assert not stand_in.reconstructions


def test_a_damaged_model_ends_the_batch(ptycho, scans, tmp_path):
    model = tmp_path / "model.zip"
    model.write_bytes(b"PK no zip")
    done = ptycho("infer", model, scans / "*.npz", "-o", tmp_path / "out", "--keep-going")
    assert done.code == 1
    assert "3 scans: 1 failed, 2 not begun" in done.out
    assert "not a bundle" in done.err


def test_a_training_has_one_line_of_json(ptycho, scans, tmp_path, stand_in):  # noqa: ARG001
    command = ("train", scans / "s_9.npz", "-o", tmp_path / "m", "--json")
    (line,) = lines(ptycho(*command))
    assert (line["name"], line["state"], line["inputs"]) == ("m", "done", [str(scans / "s_9.npz")])
    assert line["metrics"]["epochs"] == 2
    assert line["metrics"]["val_loss"] == 1.5
    assert line["metrics"]["kept"].startswith("epoch 2 of")
    with registered(FakeBackend(name="pytorch", interrupted=True)):
        done = ptycho(*command, "--overwrite")
    assert done.code == 130
    assert [(line["state"], line["code"]) for line in lines(done)] == [("interrupted", 130)]
    assert ptycho(*command).code == 3


class Interrupted(FakeBackend):
    """Is interrupted while it reconstructs the second scan."""

    def reconstruct(self, *what, **more):
        if self.reconstructions:
            raise KeyboardInterrupt
        return super().reconstruct(*what, **more)


def test_after_an_interruption_the_same_command_goes_on(ptycho, model, scans, tmp_path):
    (scans / "s_10.npz").unlink()
    shutil.copy(scans / "s_9.npz", scans / "s_12.npz")
    command = ("infer", model, scans / "*.npz", "-o", tmp_path / "out", "--skip-done")
    with registered(Interrupted(name="pytorch")):
        done = ptycho(*command)
    assert done.code == 130
    assert "3 scans: 1 done, 1 interrupted, 1 not begun" in done.out
    assert done.err.splitlines()[-1] == "interrupted; the same command with --skip-done goes on"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["s_9"]
    done = ptycho(*command)
    assert done.code == 0
    assert "3 scans: 2 done, 1 skipped" in done.out


HEAVY = {"scipy", "matplotlib", "torch", "ptycho_physics", "ptycho_core.reconstruction"}


@pytest.mark.together
@pytest.mark.parametrize("command", ["infer", "reconstruct", "train"])
def test_what_exists_is_refused_before_anything_heavy_is_imported(scan_file, solved, command):
    model = scan_file.parent / "model"
    model.mkdir(exist_ok=True)
    (model / "wts.h5.zip").touch()  # it is not read
    inputs = [model, scan_file] if command == "infer" else [scan_file]
    output = model if command == "train" else solved
    argv = list(map(str, [command, *inputs, "-o", output]))
    code = (
        "import sys; from ptycho_cli.main import main; "
        f"print(main({argv}), sorted({HEAVY} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)  # noqa: S603
    assert done.stdout == "3 []\n"
