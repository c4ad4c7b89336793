import hashlib
import os
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import numpy as np
import pytest
from ptycho_core.record import (
    Inputs,
    Stopwatch,
    describe_input,
    installed_versions,
    portable,
    run_record,
)
from ptycho_data import ScanFormatError


def test_input_is_named_sized_and_hashed(tmp_path):
    path = tmp_path / "scan.npz"
    path.write_bytes(b"counts")
    expected = hashlib.sha256(b"counts").hexdigest()
    assert describe_input(path) == {"name": "scan.npz", "bytes": 6, "sha256": expected}


def test_folder_stands_for_the_bundle_in_it(tmp_path):
    assert describe_input(tmp_path) == {"name": tmp_path.name}
    (tmp_path / "manifest.json").write_bytes(b"{}")
    assert describe_input(tmp_path)["name"] == "manifest.json"
    (tmp_path / "wts.h5.zip").write_bytes(b"zip")
    assert describe_input(tmp_path)["name"] == "wts.h5.zip"


def test_no_folder_of_an_input_is_recorded():
    values = {
        "train_data_file": "/data/someone/scan.npz",
        "probe_file": None,
        "model": {"N": 64},
        "output_dir": Path("/data/someone/out"),
    }
    overrides = {"train_data_file": {"value": "/data/someone/scan.npz", "origin": "command line"}}
    assert portable(values)["train_data_file"] == "scan.npz"
    assert portable(values)["output_dir"] == "out"
    assert portable(values)["model"] == {"N": 64}
    assert portable(overrides)["train_data_file"] == {
        "value": "scan.npz",
        "origin": "command line",
    }


def test_stopwatch_adds_up():
    clock = Stopwatch()
    for _ in range(2):
        with clock.stage("a"):
            pass
    with clock.stage("b"):
        pass
    rounded = clock.rounded()
    assert list(rounded) == ["a", "b", "total"]
    assert np.isclose(sum(clock.seconds.values()), rounded["total"], atol=1e-3)


def test_versions_name_what_is_installed():
    versions = installed_versions()
    assert {"python", "ptycho-core", "numpy"} <= versions.keys()


@pytest.mark.parametrize("name", ["tensorflow", "tensorflow-cpu"])
def test_either_tensorflow_is_reported(monkeypatch, name):
    def version(wanted):
        if wanted != name:
            raise PackageNotFoundError(wanted)
        return "2.21.0"

    monkeypatch.setattr("ptycho_core.record.version", version)
    assert installed_versions()[name] == "2.21.0"


def test_run_record(tmp_path):
    path = tmp_path / "scan.npz"
    path.write_bytes(b"counts")
    record = run_record(
        "train",
        inputs=Inputs({"scan": path}).described(),
        clock=Stopwatch(),
        configuration={"a": 1},
        backend="x",
    )
    assert record["inputs"]["scan"]["name"] == "scan.npz"
    assert record["backend"] == "x"
    assert record["created"].endswith("Z")
    assert str(tmp_path) not in str(record)


@pytest.mark.parametrize("damage", ["rewritten", "replaced", "removed"])
def test_inputs_that_change_while_they_are_read_are_refused(tmp_path, damage):
    path, other = tmp_path / "scan.npz", tmp_path / "other.npz"
    path.write_bytes(b"counts")
    other.write_bytes(b"others")
    inputs = Inputs({"scan": path})
    assert inputs.described()["scan"]["bytes"] == 6
    if damage == "rewritten":
        before = path.stat()
        path.write_bytes(b"COUNTS")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    elif damage == "replaced":
        other.replace(path)
    else:
        path.unlink()
    with pytest.raises(ScanFormatError, match="the file that was checked"):
        inputs.described()
