import hashlib
import json
import shlex

import numpy as np
import pytest
from ptycho_data import load_scan


def test_a_small_scan_and_its_sidecar(ptycho, scan_file, tmp_path):
    out = tmp_path / "new" / "small.npz"
    done = ptycho("fixture", scan_file, "--output", out, "--subset-size", "12")
    assert done.code == 0, done.err
    assert "12 of 60 patterns" in done.out
    content = json.loads(out.with_suffix(".json").read_text("utf-8"))
    assert content["sources"][0]["name"] == "scan.npz"
    assert content["command"] == "ptycho fixture scan.npz --output small.npz --subset-size 12"
    assert min(content["coverage"].values()) > 0.5
    part, whole = load_scan(out), load_scan(scan_file)
    np.testing.assert_array_equal(part.diffraction, whole.diffraction[content["indices"]])


def test_the_recorded_command_makes_the_same_bytes(ptycho, scan_file, tmp_path, monkeypatch):
    out = tmp_path / "it's small.npz"
    assert ptycho("fixture", scan_file, "-o", out, "--domain", "counts").code == 0
    before = {p: p.read_bytes() for p in (out, out.with_suffix(".json"))}
    monkeypatch.chdir(tmp_path)
    words = shlex.split(json.loads(before[out.with_suffix(".json")])["command"])
    assert words[0] == "ptycho"
    assert ptycho(*words[1:], "--overwrite").code == 0
    assert {p: p.read_bytes() for p in before} == before


def test_it_can_be_inspected(ptycho, scan_file, tmp_path):
    assert ptycho("fixture", scan_file, "-o", tmp_path / "s.npz").code == 0
    assert ptycho("inspect", tmp_path / "s.npz").code == 0


@pytest.mark.parametrize("name", ["small.npz", "small.json"])
def test_existing_files_and_inputs_are_safe(ptycho, scan_file, tmp_path, name):
    (tmp_path / name).write_text("mine")
    done = ptycho("fixture", scan_file, "-o", tmp_path / "small.npz")
    assert done.fails_with(name, "--overwrite")
    assert ptycho("fixture", scan_file, "-o", scan_file, "--overwrite").fails_with("an input")


def test_a_broken_source_is_named(ptycho, tmp_path):
    np.savez(tmp_path / "broken.npz", apples=[1])
    done = ptycho("fixture", tmp_path / "broken.npz", "-o", tmp_path / "s.npz")
    assert done.fails_with("broken.npz", "diffraction")
    assert not (tmp_path / "s.npz").exists()
    assert ptycho("fixture", tmp_path / "gone.npz", "-o", tmp_path / "s.npz").code == 2


@pytest.mark.parametrize("name", ["scan.cxi", "folder"])
def test_any_format_will_do(ptycho, scan_file, tmp_path, name):
    options = ["--pixel-size-m", "1e-8", *(["--to", "ptychodus"] if name == "folder" else [])]
    assert ptycho("convert", scan_file, tmp_path / name, *options).code == 0
    done = ptycho("fixture", tmp_path / name, "-o", tmp_path / "s.npz", "--subset-size", "9")
    assert done.code == 0, done.err
    content = json.loads((tmp_path / "s.json").read_text("utf-8"))
    names = {"scan.cxi"} if name == "scan.cxi" else {"diffraction.h5", "product.h5"}
    assert {source["name"] for source in content["sources"]} == names
    chosen = load_scan(scan_file).diffraction[content["indices"]]
    np.testing.assert_array_equal(load_scan(tmp_path / "s.npz").diffraction, chosen)


def test_the_form_of_older_scripts_does_the_same(ptycho, scan_file, tmp_path):
    out, about = tmp_path / "a" / "small.npz", tmp_path / "about.json"
    words = ["--output", out, "--subset-size", "12", "--metadata-out", about]
    done = ptycho("fixture", "--source", scan_file, *words)
    assert done.code == 0, done.err
    content = json.loads(about.read_text("utf-8"))
    assert content["output"]["sha256"] == hashlib.sha256(out.read_bytes()).hexdigest()
    assert content["command"].endswith("--metadata-out about.json")
    assert [path.name for path in out.parent.iterdir()] == ["small.npz"]
    assert ptycho("fixture", scan_file, "-o", tmp_path / "b.npz", "--subset-size", "12").code == 0
    assert (tmp_path / "b.npz").read_bytes() == out.read_bytes()


@pytest.mark.parametrize("both", [False, True])
def test_one_source_is_needed(ptycho, scan_file, tmp_path, both):
    words = [scan_file, "--source", scan_file] if both else []
    assert ptycho("fixture", *words, "-o", tmp_path / "s.npz").code == 2
