"""What commands do not replace, and two of them in one folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from ptycho_data import load_reconstruction


def content(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture
def places(ptycho, scan_file, tmp_path, stand_in):
    """Files of every kind, in the working folder."""
    assert scan_file.name == "scan.npz"
    assert not stand_in.trainings
    for line in (
        "convert scan.npz pair --to ptychodus",
        "train scan.npz -o model",
        "reconstruct scan.npz -o result --epochs 1",
        "convert scan.npz probe.npz",
        "config template -o settings.toml",
        "convert scan.npz scan.cxi",
    ):
        done = ptycho(*line.split(), "-q")
        assert done.code == 0, done.err
    (tmp_path / "linked").symlink_to(tmp_path / "pair")
    (tmp_path / "alias.npz").symlink_to("scan.npz")
    os.link(tmp_path / "scan.npz", tmp_path / "twin.npz")
    return tmp_path


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


INPUTS = """\
reconstruct pair -o pair
reconstruct pair/diffraction.h5 -o linked
reconstruct linked -o pair
reconstruct scan.npz --probe-file result/reconstruction.npz -o result
reconstruct result/reconstruction.npz -o result
infer model pair -o pair
infer model scan.npz --probe-file result/reconstruction.npz -o result
infer model scan.npz --config result/run.json -o result
train pair -o model --probe-file model/wts.h5.zip
train scan.npz -o model --config model/run.json
simulate --probe probe.npz -o probe.npz
simulate --object probe.npz -o probe.npz
simulate --from scan.npz -o scan.npz
simulate --from scan.npz -o twin.npz
simulate --from pair/diffraction.h5 -o pair/product.h5
simulate --from linked -o pair/product.h5
convert scan.npz ./scan.npz
convert alias.npz scan.npz
convert scan.npz probe.npz --probe-file probe.npz
convert scan.npz result/reconstruction.npz --positions-file result/reconstruction.npz
convert pair linked --to ptychodus
convert scan.npz pair --to ptychodus --probe-file pair/product.h5
fixture scan.npz -o scan.npz
fixture pair -o small.npz --metadata-out pair/product.h5
inspect scan.npz --plot scan.npz
inspect pair/diffraction.h5 --plot linked/product.h5
evaluate result/reconstruction.npz scan.npz -o result/reconstruction.npz
"""


def test_inputs_are_never_replaced(ptycho, places):
    before = content(places)
    for line in INPUTS.splitlines():
        done = ptycho(*line.split(), "--overwrite")
        assert done.fails_with(), f"{line}: {done.code} {done.err}"
        assert content(places) == before, line


OTHERS = {
    "reconstruct scan.npz -o model": "trained model",
    "infer model scan.npz -o model": "input",
    "train scan.npz -o result": "reconstruction",
    "convert scan.npz result --to ptychodus": "reconstruction",
    "reconstruct scan.npz -o pair": "product.h5",
    "convert probe.npz alias.npz": "link",
    "inspect scan.npz --plot alias.npz": "input",
    "config template -o alias.npz": "link",
}


def test_results_of_another_kind_and_links_are_not_replaced(ptycho, places):
    before = content(places)
    for line, word in OTHERS.items():
        done = ptycho(*line.split(), "--overwrite")
        assert done.fails_with(word), f"{line}: {done.code} {done.err}"
        assert content(places) == before, line


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no FIFOs")
@pytest.mark.parametrize(
    "line",
    ["convert scan.npz OUT --to npz", "simulate -o OUT", "fixture scan.npz -o small.npz "
     "--metadata-out OUT", "inspect scan.npz --plot OUT", "config schema -o OUT"],
)  # fmt: skip
@pytest.mark.usefixtures("scan_file")
def test_fifos_and_devices_are_not_replaced(ptycho, tmp_path, line):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "null").symlink_to(os.devnull)
    for name in ("fifo", "null", os.devnull):
        before = Path(name).stat()
        done = ptycho(*line.replace("OUT", name).split(), "--overwrite")
        assert done.fails_with("regular file"), done.err
        assert Path(name).stat().st_ino == before.st_ino
        assert Path(name).stat().st_mode == before.st_mode


HOLD = """
import sys
from ptycho_data import folder_lock
with folder_lock("out"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no locks on Windows")
@pytest.mark.parametrize(
    "line",
    ["reconstruct scan.npz -o out", "infer model scan.npz -o out", "train scan.npz -o out",
     "train scan.npz -o out --overwrite"],
)  # fmt: skip
@pytest.mark.usefixtures("places")
def test_the_second_command_in_a_folder_does_no_work(ptycho, stand_in, line):
    trainings = len(stand_in.trainings)
    with subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        done = ptycho(*line.split())
        assert done.fails_with(f"process {process.pid} on ", "since 20"), done.err
        assert len(stand_in.trainings) == trainings
        assert not stand_in.reconstructions
        process.kill()
    assert ptycho(*line.split()).code == 0


def test_overwriting_takes_everything_of_the_old_results_away(ptycho, places):
    line = "reconstruct scan.npz -o result --overwrite --epochs 1 --half-scan-frc"
    assert ptycho(*line.split()).code == 0
    assert (places / "result" / "half_scan_frc.png").exists()
    line = "reconstruct scan.npz -o result --overwrite --epochs 2"
    assert ptycho(*line.split()).code == 0
    assert not (places / "result" / "half_scan_frc.png").exists()
    run = load_reconstruction(places / "result").run
    assert run is not None
    assert run["configuration"]["epochs"] == 2


def test_a_mixed_folder_is_refused_by_whatever_reads_it(ptycho, places):
    for folder, name in (("result", "metrics.json"), ("model", "run.json")):
        (places / folder / name).write_text("{}")
    for line in (
        "evaluate result scan.npz",
        "evaluate result/reconstruction.npz result",
        "infer model scan.npz -o new",
        "bundle check model",
        "bundle show model",
        "config show scan.npz --bundle model",
    ):
        assert ptycho(*line.split()).fails_with("mixed or damaged set", "json"), line
    assert ptycho("evaluate", "result/reconstruction.npz", "scan.npz").code == 0
    assert ptycho("bundle", "check", "model/wts.h5.zip").code == 0
