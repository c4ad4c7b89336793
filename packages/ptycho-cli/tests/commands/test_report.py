"""``ptycho report``, and what the other commands say of themselves in their reports."""

import json
import re
import shlex
import shutil
from html import unescape

import pytest
from ptycho_cli.main import cli
from ptycho_core.report.repeating import command_line

INPUT = {"name": "some scan.npz", "sha256": "ab"}
RECORDS = {
    "infer": {
        "inputs": {"model_path": {"name": "wts.h5.zip"}, "test_data_file": INPUT},
        "configuration": {"model_path": "model"},
        "asked": {
            "refine": 10, "refine_probe": True, "refine_positions": True, "half_scan_frc": True,
            "n_groups": 64, "neighbor_count": 7, "precision": "bf16-mixed", "middle_trim": 4,
            "pad_eval": True, "backend": "pytorch", "domain": "counts", "negative": "clip",
            "pixel_size_m": 1e-8, "particle": "electron", "follow_links": True,
            "first_probe": "auto",
        },
        "scan_index": 1,
    },
    "reconstruct": {
        "inputs": {"scan": INPUT, "companion": INPUT, "probe_file": INPUT, "start": INPUT},
        "asked": {
            "epochs": 9, "batch_size": 8, "relaxation": 0.2, "update_probe": True, "modes": 2,
            "refine_positions": False, "tolerance": 0.01, "seed": 3, "first_probe": "auto",
            "half_scan_frc": True, "domain": "counts",
        },
    },
    "train": {
        "inputs": {"train_data_file": INPUT, "train_data_file_2": INPUT, "test_data_file": INPUT},
        "overrides_applied": {
            "nepochs": {"value": 9, "origin": "command line"},
            "gridsize": {"value": 2, "origin": "config file"},
            "object_big": {"value": False, "origin": "override"},
            "N": {"value": 64, "origin": "data"},
        },
        "probe_refinement": [{"scan": "some scan.npz"}],
    },
    "evaluate": {
        "inputs": {"reconstruction": INPUT, "reference": INPUT},
        "asked": {"remove_ramp": True},
    },
}  # fmt: skip


@pytest.mark.parametrize("name", RECORDS)
def test_the_command_to_repeat_a_run_is_a_command(name, tmp_path, monkeypatch):
    """Every option exists, and takes the value that the record has."""
    monkeypatch.chdir(tmp_path)
    for file in (INPUT["name"], "model", "wts.h5.zip"):
        (tmp_path / file).touch()
    record = {"command": name, **RECORDS[name]}
    program, command, *words = shlex.split(command_line(record, "out"))
    assert (program, command) == ("ptycho", name)
    found = cli.get_command(None, command)
    context = found.make_context(command, words, resilient_parsing=False)
    values = context.params
    given = record.get("asked") or {
        key: entry["value"] for key, entry in record["overrides_applied"].items() if key != "N"
    }
    names = {"refine": "refine_steps"}
    for key, value in given.items():
        assert values[names.get(key, key)] == value, key
    assert str(values["output"]) == "out"
    assert values.get("scan_index") == record.get("scan_index")
    if name == "train":
        assert values["refine_probe"]
        assert len(values["scans"]) == 2
        assert values["N"] is None


def test_scans_in_memory_have_no_command():
    assert command_line({"command": "infer", "inputs": {}, "configuration": {}}, "out") is None
    assert command_line({"command": "demo"}, "out") is None


def test_runs_side_by_side(ptycho, solved, tmp_path):
    shutil.copytree(solved, tmp_path / "other")
    output = tmp_path / "compare.html"
    done = ptycho("report", solved, tmp_path / "other", "-o", output)
    assert done.code == 0
    assert done.out.strip() == f"{output}: 2 runs"
    assert ">other<" in output.read_text()
    assert ptycho("report", solved, "-o", output).fails_with("compare.html", "--overwrite")
    assert ptycho("report", tmp_path / "gone", "-o", output).code == 2
    assert ptycho("report", solved / "metrics.json", "-o", tmp_path / "x.html").fails_with("folder")


def test_a_run_tells_how_to_repeat_it(ptycho, scan_file, tmp_path):
    folder = tmp_path / "out"
    args = ("reconstruct", scan_file, "-o", folder, "--epochs", 1, "--no-pictures", "--seed", 4)
    assert ptycho(*args, "--tiff").code == 0
    text = (folder / "report.html").read_text()
    said = unescape(re.search("<pre>(.*?)</pre>", text)[1])
    assert said.startswith(f"ptycho reconstruct {scan_file.name} -o out --epochs 1")
    assert "--seed 4" in said
    assert (folder / "reconstructed_phase.tif").stat().st_size > 10_000
    assert "reconstructed_phase.tif" in (folder / "SHA256SUMS").read_text()
    assert ptycho(*args, "--overwrite", "--no-report").code == 0
    assert not (folder / "report.html").exists()
    assert not (folder / "reconstructed_phase.tif").exists()
    assert "report" not in json.loads((folder / "run.json").read_text())["timings_s"]


def test_unwrapping_is_refused_before_any_work(ptycho, scan_file, tmp_path, monkeypatch):
    monkeypatch.setattr("ptycho_config.install.find_spec", lambda _: None)
    done = ptycho("reconstruct", scan_file, "-o", tmp_path / "out", "--epochs", 1, "--unwrap")
    assert done.fails_with("scikit-image", "ptycho-data[unwrap]")
    assert not (tmp_path / "out").exists()
