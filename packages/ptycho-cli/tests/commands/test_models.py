"""Models that are installed: by name, and where none is named."""

import json
import sys
from importlib.metadata import EntryPoint

import click
import numpy as np
import pytest
from ptycho_cli.cluster.arguments import read_command
from ptycho_cli.console import State
from ptycho_cli.main import cli
from ptycho_config import TrainingConfig
from ptycho_core import pretrained
from ptycho_core.testing import FakeBackend
from ptycho_data import file_sha256, load_reconstruction, load_scan

pytestmark = pytest.mark.usefixtures("stand_in")


def model(scan_file, folder, seed=0):
    """Write a bundle without the checks of a training."""
    config = TrainingConfig(seed=seed)
    more = {"overrides_applied": {}, "probe": None, "overwrite": False, "resume": False}
    scan = load_scan(scan_file)
    FakeBackend(name="pytorch").train(scan, config, None, output=folder, **more)


@pytest.fixture
def universal(scan_file, tmp_path, monkeypatch):
    """Install a model of this name; return its folder."""
    folder = tmp_path / "site" / "universal"
    model(scan_file, folder)
    (folder / "card.md").write_text("# universal\n\nTrained on nothing.\n")
    (tmp_path / "site" / "our_universal.py").write_text(f"HERE = {str(folder)!r}\n")
    entry = EntryPoint("universal", "our_universal:HERE", pretrained.GROUP)
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.setattr(pretrained, "_installed", lambda: {"universal": entry})
    yield folder
    sys.modules.pop("our_universal", None)


@pytest.fixture
def none_installed(monkeypatch):
    monkeypatch.setattr(pretrained, "_installed", dict)


def sha256(record):
    return json.loads(record.read_text())["inputs"]["model_path"]["sha256"]


def test_without_a_model_the_installed_one_is_taken(ptycho, universal, scan_file, tmp_path):
    done = ptycho("infer", scan_file, "-o", tmp_path / "a")
    assert done.code == 0, done.err
    assert "no model named: taking universal" in done.err
    named = ptycho("infer", "universal", scan_file, "-o", tmp_path / "b")
    assert named.code == 0, named.err
    assert "no model named" not in named.err
    path = ptycho("infer", universal, scan_file, "-o", tmp_path / "c")
    assert path.code == 0
    hashes = {sha256(tmp_path / folder / "run.json") for folder in "abc"}
    assert len(hashes) == 1


def test_a_stream_takes_an_installed_model(ptycho, universal, scan_file, tmp_path):
    replay = ("--replay", scan_file, "--protocol", "hdf5", "--rate", "3000", "--no-pictures")
    done = ptycho("stream", "universal", *replay, "--no-report", "-o", tmp_path / "live")
    assert done.code == 0, done.err
    assert sha256(tmp_path / "live" / "run.json") == file_sha256(universal / "wts.h5.zip")
    come, own = load_reconstruction(tmp_path / "live").probe, load_scan(scan_file).probe
    assert come.tolist() == own.tolist()  # not that of the training
    refused = ptycho("stream", "universal", "--source", "folder:a", "-o", tmp_path / "other")
    assert refused.fails_with("--probe-file", "installed model")


@pytest.mark.usefixtures("universal")
def test_several_scans_without_a_model(ptycho, scan_file, tmp_path):
    other = tmp_path / "other.npz"
    other.write_bytes(scan_file.read_bytes())
    for output, scans in (("r", [scan_file, other]), ("p", [f"{tmp_path}/*.npz"])):
        done = ptycho("infer", *scans, "-o", tmp_path / output)
        assert done.code == 0, done.err
        assert "taking universal" in done.err
        assert {path.name for path in (tmp_path / output).iterdir()} == {"scan", "other"}


def test_a_folder_of_that_name_comes_first(ptycho, universal, scan_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model(scan_file, tmp_path / "universal", seed=5)
    assert ptycho("infer", "universal", scan_file, "-o", "r").code == 0
    assert sha256(tmp_path / "r" / "run.json") != file_sha256(universal / "wts.h5.zip")


def test_mistakes_with_the_arguments(ptycho, universal, scan_file, tmp_path):
    out = ["-o", tmp_path / "r"]
    assert ptycho("infer", *out).fails_with("Missing argument 'SCAN...'")
    alone = ptycho("infer", "universal", *out)
    assert alone.code == 2
    assert alone.fails_with("Missing argument 'SCAN...'", "is a model")
    (tmp_path / "empty").mkdir()
    assert ptycho("infer", tmp_path / "empty", scan_file, *out).fails_with("no bundle here")
    assert ptycho("infer", "unknown", scan_file, *out).code == 2
    assert ptycho("infer", universal / "wts.h5.zip", scan_file, *out).code == 0


@pytest.mark.usefixtures("none_installed")
def test_without_an_installed_model_one_has_to_be_named(ptycho, scan_file, tmp_path):
    done = ptycho("infer", scan_file, "-o", tmp_path / "r")
    assert done.code == 2
    assert done.fails_with("name a MODEL", "ptycho-pretrained")
    named = ptycho("infer", "universal", scan_file, "-o", tmp_path / "r")
    assert named.code == 1
    assert named.fails_with("not installed", "ptycho-pretrained")


@pytest.mark.usefixtures("universal")
def test_the_card_is_shown(ptycho):
    for command in (["inspect"], ["bundle", "show"]):
        assert "Trained on nothing." in ptycho(*command, "universal").out
        report = json.loads(ptycho(*command, "universal", "--json").out)
        assert report["card"].startswith("# universal")
    assert ptycho("bundle", "check", "universal").out.count("intact") == 1


@pytest.mark.usefixtures("universal")
def test_other_commands_take_the_name(ptycho, scan_file, tmp_path, stand_in):
    done = ptycho("train", scan_file, "-o", tmp_path / "t", "--from", "universal")
    assert done.code == 0, done.err
    assert stand_in.trainings[-1]["start_name"] == "universal"
    start = ["--from", "universal", "--epochs", "1"]
    done = ptycho("reconstruct", scan_file, "-o", tmp_path / "s", *start)
    assert done.code == 0, done.err
    assert json.loads((tmp_path / "s" / "run.json").read_text())["start"]["r_factor_network"] > 0
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "one.npz").write_bytes(scan_file.read_bytes())
    watch = ["-o", tmp_path / "w", "--once", "--settle", "0"]
    done = ptycho("watch", tmp_path / "in", "universal", *watch)
    assert done.code == 0, done.err
    assert (tmp_path / "w" / "one" / "reconstruction.npz").exists()
    assert ptycho("config", "show", scan_file, "--bundle", "universal").code == 0


@pytest.mark.usefixtures("universal")
def test_a_first_probe_is_there_before_the_network_needs_it(ptycho, scan_file, tmp_path):
    scan = load_scan(scan_file)
    probe = tmp_path / "probe.npz"
    np.savez(probe, probe=scan.probe * np.exp(1j * np.linspace(0, 3, scan.N)).astype(np.complex64))
    start = ["--from", "universal", "--first-probe", probe, "--epochs", "1"]
    done = ptycho("reconstruct", scan_file, "-o", tmp_path / "s", *start)
    assert done.code == 0, done.err
    assert done.err.index("first probe from") < done.err.index("starting from the object of")


@pytest.mark.usefixtures("universal")
def test_tasks_of_a_cluster_name_the_model_or_not(scan_file, tmp_path):
    with click.Context(cli, obj=State()) as above, click.Context(cli, parent=above):
        for words, rest in (
            (["infer", str(scan_file), "--n-groups", "8"], ("--n-groups", "8")),
            (["infer", "universal", str(scan_file)], ("universal",)),
        ):
            found = read_command(cli, words, tmp_path / "out", None)
            assert [job.scan for job in found.jobs] == [scan_file]
            assert found.arguments == rest
