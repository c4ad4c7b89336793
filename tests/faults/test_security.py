"""What SECURITY.md promises about files that somebody else wrote, statement by statement."""

import io
import json
import os
import pickle
import shutil
import zipfile
from pathlib import Path

import bundles
import h5py
import judge
import numpy as np
import pytest
import texts
import valid

ROOT = Path(__file__).parents[2]


@pytest.fixture
def call(samples, tmp_path):
    return lambda *argv, **limits: samples.server("none").call(argv, tmp_path, **limits)


@pytest.fixture
def scan(tmp_path):
    return valid.write_npz(tmp_path)


def refused(answer, command="convert"):
    assert judge.judge(answer, command)[0] == judge.REFUSED, answer
    return answer.err


def test_the_page_names_the_tests():
    text = (ROOT / "SECURITY.md").read_text("utf-8")
    assert "tests/faults/test_security.py" in text


@pytest.mark.parametrize("key", ["diffraction", "probeGuess", "_metadata", "domain"])
def test_a_pickle_in_a_scan_is_not_run(key, call, tmp_path):
    bait = np.empty(1, object)
    bait[0] = bundles.Planted(str(tmp_path / "trap"))
    arrays = {name: a for name, a in valid.arrays().items() if name != key}
    np.savez(tmp_path / "scan.npz", **arrays, **{key: bait})
    for argv in (["inspect", "scan.npz"], ["convert", "scan.npz", "out.npz"]):
        call(*argv)
        assert not (tmp_path / "trap").exists()


def test_a_pickle_in_a_bundle_is_not_run(call, tmp_path):
    path = tmp_path / "wts.h5.zip"
    members = members_of_a_bundle()
    members["model.pkl"] = pickle.dumps(bundles.Planted(str(tmp_path / "trap")))
    members["probe.npy"] = members["model.pkl"]
    write(path, members)
    for argv in (["bundle", "check", path], ["bundle", "show", path]):
        refused(call(*argv), "bundle")
    assert not (tmp_path / "trap").exists()


def members_of_a_bundle():
    stream = io.BytesIO()
    np.save(stream, np.ones((1, 8, 8), np.complex64))
    names = ("manifest.json", "config.json", "history.json", "scaling.json")
    return {**dict.fromkeys(names, b"{}"), "probe.npy": stream.getvalue()}


def write(path, members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["pytorch", "tensorflow"])
def test_a_pickle_in_a_checkpoint_is_not_run(backend, samples, backends, tmp_path):
    if backend not in backends:
        pytest.skip(f"{backend} is not installed")
    shutil.copytree(samples.model(backend), tmp_path / "model")
    last = next((tmp_path / "model" / "checkpoints").glob("last*"))
    with zipfile.ZipFile(last) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    bait = pickle.dumps(bundles.Planted(str(tmp_path / "trap")))
    name = next((n for n in members if n.endswith("data.pkl")), next(iter(members)))
    write(last, members | {name: bait})
    for path in (tmp_path / "model" / "checkpoints").glob("best*"):
        path.unlink()
    argv = ["train", samples.star(), "-o", "model", "--resume", "--nepochs", "2",
            "--backend", backend, "--n-filters-scale", "1", "--batch-size", "12"]  # fmt: skip
    samples.server(backend).call(argv, tmp_path, seconds=120)
    assert not (tmp_path / "trap").exists()


@pytest.mark.parametrize(
    "text",
    [
        "nepochs: !!python/object/apply:os.system ['touch trap']\n",
        "nepochs: !!python/object/new:pathlib.Path ['x']\n",
        "architecture: os.system\nbackend: subprocess\n",
    ],
)
def test_settings_run_nothing(text, call, scan, tmp_path):
    (tmp_path / "settings.yaml").write_text(text, "utf-8")
    answer = call("config", "show", scan, "--config", "settings.yaml")
    if "!!" in text:
        refused(answer)
    assert not (tmp_path / "trap").exists()


@pytest.mark.parametrize("name", ["../../out.npy", "/etc/out", "..\\out", "~/x"])
def test_names_in_archives_are_no_paths(name, call, tmp_path):
    np.savez(tmp_path / "scan.npz", **valid.arrays(), **{name: np.zeros(3)})
    before = judge.snapshot(tmp_path)
    call("inspect", "scan.npz")
    assert judge.snapshot(tmp_path) == before
    call("convert", "scan.npz", "out.npz")
    assert judge.snapshot(tmp_path).keys() <= before.keys() | {"out.npz"}


@pytest.mark.parametrize("where", ["array", "file", "settings", "text"])
def test_a_name_cannot_control_the_terminal_or_forge_a_line(where, call, scan, tmp_path):
    argv = ["inspect", scan]
    if where == "array":
        np.savez(scan, **valid.arrays(), **{judge.HOSTILE: np.zeros(3)})
    elif where == "file":
        scan = scan.rename(tmp_path / f"{judge.HOSTILE}.npz")
        argv = ["inspect", scan]
    elif where == "settings":
        (tmp_path / "settings.json").write_text(json.dumps({judge.HOSTILE: judge.HOSTILE}))
        argv = ["config", "show", scan, "--config", "settings.json"]
    else:
        np.savez(scan, **valid.arrays() | {"domain": np.array(judge.HOSTILE)})
    verdict, seen = judge.judge(call(*argv), argv[0])
    assert verdict in (judge.RIGHT, judge.REFUSED), seen


@pytest.mark.parametrize("kind", ["link", "storage", "virtual"])
@pytest.mark.parametrize("follow", [(), ("--follow-links",)])
def test_links_out_of_a_file_are_not_followed(kind, follow, call, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "secret").mkdir()
    path = valid.write_cxi(tmp_path / "in")
    secret = tmp_path / "secret" / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["x"] = np.full((12, 8, 8), judge.DECOY, np.uint16)
        place = file["x"].id.get_offset()
    with h5py.File(path, "r+") as file:
        del file["entry_1/data_1/data"]
        file["entry_1/data_1/x"] = np.arange(12.0)
        if kind == "link":
            file["entry_1/data_1/data"] = h5py.ExternalLink(str(secret), "/x")
        elif kind == "storage":
            external = [(str(secret), place, 12 * 8 * 8 * 2)]
            file.create_dataset("entry_1/data_1/data", (12, 8, 8), "u2", external=external)
        else:
            layout = h5py.VirtualLayout((12, 8, 8), "u2")
            layout[...] = h5py.VirtualSource(str(secret), "x", (12, 8, 8), "u2")
            file.create_virtual_dataset("entry_1/data_1/data", layout)
    refused(call("convert", path, "out.npz", *follow))
    assert not (tmp_path / "out.npz").exists()
    names = ["--x", "/entry_1/data_1/x", "--y", "/entry_1/data_1/x", "--unit", "um"]
    refused(call("prepare", path, "-o", "out.npz", "--patterns", "/entry_1/data_1/data", *names))
    assert not (tmp_path / "out.npz").exists()


@pytest.mark.parametrize("kind", ["fifo", "device", "folder"])
def test_only_regular_files_are_read(kind, call, scan, tmp_path):
    path = tmp_path / "odd.toml"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    refused(call("config", "show", scan, "--config", path, seconds=10))
    refused(call("convert", path, "out.npz", seconds=10))
    refused(call("bundle", "check", path, seconds=10), "bundle")
    refused(call("prepare", path, "-o", "out.npz", seconds=10))
    refused(call("prepare", scan, "-o", "out.npz", "--recipe", path, seconds=10))


def test_what_a_file_declares_is_checked_before_it_is_allocated(call, tmp_path):
    header = "{'descr': '<f8', 'fortran_order': False, 'shape': (200000, 1024, 1024)}"
    packed = header.ljust(117) + "\n"
    array = b"\x93NUMPY\x01\x00" + len(packed).to_bytes(2, "little") + packed.encode()
    np.savez(tmp_path / "scan.npz", **{k: v for k, v in valid.arrays().items() if k != "Y"})
    with zipfile.ZipFile(tmp_path / "scan.npz", "a") as archive:
        archive.writestr("Y.npy", array)
    with h5py.File(tmp_path / "scan.cxi", "w") as file:
        file.create_dataset("entry_1/data_1/data", (2**20, 2**10, 2**10), "f8", chunks=(1, 64, 64))
        file["entry_1/data_1/translation"] = np.zeros((2**20, 3))
    for name in ("scan.npz", "scan.cxi"):
        answer = call("convert", name, "out.npz")
        refused(answer)
        assert answer.megabytes < 600


@pytest.mark.parametrize("seed", range(4))
def test_settings_neither_hang_nor_fill_the_memory(seed, call, scan, tmp_path):
    rng = np.random.default_rng(seed)
    bombs = [texts.YAMLS[0](rng), texts.YAMLS[1](rng), "[" * 60_000, "x: " + "y" * 2**20]
    (tmp_path / "s.yaml").write_text(bombs[seed], "utf-8")
    answer = call("config", "show", scan, "--config", "s.yaml")
    refused(answer)
    assert answer.cpu_s < 2
    assert answer.megabytes < 400


def test_nothing_is_overwritten_unasked_and_inputs_never(call, scan, tmp_path):
    (tmp_path / "out.npz").write_text("mine", "utf-8")
    refused(call("convert", scan, "out.npz"))
    assert (tmp_path / "out.npz").read_text("utf-8") == "mine"
    before = scan.read_bytes()
    (tmp_path / "link.npz").symlink_to(scan.name)
    for out in (scan.name, "link.npz", f"../{tmp_path.name}/{scan.name}"):
        refused(call("convert", scan, out, "--overwrite"))
        refused(call("simulate", "--from", scan, "-o", out, "--N", "8", "--overwrite"), "simulate")
    assert scan.read_bytes() == before


def test_a_mixture_of_two_results_is_refused(samples, call, tmp_path):
    shutil.copytree(samples.rec(), tmp_path / "rec")
    assert call("evaluate", "rec", samples.star()).code == 0
    product = tmp_path / "rec" / "product.h5"
    product.write_bytes(product.read_bytes()[:-8] + bytes(8))
    assert "product.h5" in refused(call("evaluate", "rec", samples.star()), "evaluate")


def test_devices_are_not_replaced(call, scan, tmp_path):
    os.mkfifo(tmp_path / "fifo.npz")
    (tmp_path / "null.npz").symlink_to("/dev/null")
    for out in ("fifo.npz", "null.npz", "/dev/null"):
        refused(call("convert", scan, out, "--to", "npz", "--overwrite", seconds=10))
    assert Path("/dev/null").is_char_device()
    assert (tmp_path / "fifo.npz").is_fifo()


@pytest.mark.slow
def test_a_model_and_its_record_name_no_folder(samples):
    model = samples.model("pytorch")
    text = (model / "run.json").read_text("utf-8")
    with zipfile.ZipFile(model / "wts.h5.zip") as archive:
        names = [name for name in archive.namelist() if name.endswith(".json")]
        text += "".join(archive.read(name).decode() for name in names)
    assert "star.npz" in text
    assert str(samples.folder) not in text


@pytest.mark.slow
@pytest.mark.parametrize("value", [np.nan, np.inf, 1e38])
def test_a_result_that_is_not_finite_is_an_error(value, samples, tmp_path):
    shutil.copytree(samples.model("pytorch"), tmp_path / "model")
    path = tmp_path / "model" / "wts.h5.zip"
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    data = members["weights.safetensors"]
    start = 8 + int.from_bytes(data[:8], "little")
    numbers = np.full((len(data) - start) // 4, value, np.float32)
    members["weights.safetensors"] = data[:start] + numbers.tobytes()
    bundles.rehash(members)
    write(path, members)
    (tmp_path / "model" / "SHA256SUMS").unlink(missing_ok=True)
    argv = ["infer", path, samples.star(), "-o", "out"]
    refused(samples.server("pytorch").call(argv, tmp_path, seconds=60), "infer")
    assert not (tmp_path / "out" / "reconstruction.npz").exists()
