"""Damaged, altered and foreign bundles: each refused by name, in one line, from both forms."""

import hashlib
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ptycho_data._bundle import Bundle, load_bundle, save_bundle
from ptycho_data._bundle_file import BundleError, check_bundle

Contents = dict[str, bytes]


@pytest.fixture
def contents(tmp_path) -> Contents:
    """Give the members of a good bundle."""
    bundle = Bundle(
        config={"N": 4},
        scaling={"input_scale": 0.5},
        probe=np.ones((1, 4, 4)),
        weights={"a.weight": np.ones((2, 3), np.float32)},
        history={"loss": [1.0]},
        backend="pytorch",
    )
    with zipfile.ZipFile(save_bundle(tmp_path / "good.zip", bundle)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def as_zip(folder: Path, contents: Contents) -> Path:
    path = folder / "b.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in contents.items():
            archive.writestr(name, data)
    return path


def as_folder(folder: Path, contents: Contents) -> Path:
    path = folder / "unpacked"
    path.mkdir()
    for name, data in contents.items():
        (path / name).write_bytes(data)
    return path


BOTH = pytest.mark.parametrize("form", [as_zip, as_folder])
Form = Callable[[Path, Contents], Path]


def refused(path: Path, match: str) -> None:
    """Check that both readers refuse `path`, with one line that begins with it."""
    for read in (load_bundle, check_bundle):
        with pytest.raises(BundleError, match=match) as caught:
            read(path)
        assert str(caught.value).startswith(f"{path}: ")
        assert "\n" not in str(caught.value)


def change_manifest(contents: Contents, **changes: object) -> Contents:
    manifest = json.loads(contents["manifest.json"]) | changes
    return contents | {"manifest.json": json.dumps(manifest).encode()}


def forge(contents: Contents, name: str, data: bytes) -> Contents:
    """Replace a member and make the manifest agree."""
    members = json.loads(contents["manifest.json"])["members"]
    members[name] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    return change_manifest(contents | {name: data}, members=members)


@BOTH
def test_the_good_one_is_good(tmp_path, contents, form: Form):
    path = form(tmp_path, contents)
    assert check_bundle(path)["format_version"] == 1
    assert load_bundle(path).config == {"N": 4}


@BOTH
@pytest.mark.parametrize(
    "name", ["config.json", "scaling.json", "probe.npy", "weights.safetensors", "history.json"]
)
def test_each_member_is_needed_and_guarded(tmp_path, contents, form: Form, name):
    less = {key: data for key, data in contents.items() if key != name}
    refused(form(tmp_path, less), f"member '{name}' is missing")
    for sub, data in enumerate([contents[name][:-1] + b"\x7f", contents[name] + b" "]):
        folder = tmp_path / str(sub)
        folder.mkdir()
        problem = ["does not match its SHA-256", "bytes, manifest.json states"][sub]
        refused(form(folder, contents | {name: data}), f"member '{name}' .*{problem}")


@BOTH
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": 2}, "bundle format 2 is newer than 1.*update"),
        ({"format_version": "1"}, "states no format version"),
        ({"format_version": True}, "states no format version"),
        ({"format": "other"}, "not a bundle"),
        ({"members": []}, "'members' must be of type dict, found list"),
        ({"backend": None}, "'backend' must be of type str, found NoneType"),
        ({"members": {}}, "'config.json' is not listed"),
    ],
)
def test_a_manifest_that_says_something_else(tmp_path, contents, form: Form, changes, message):
    refused(form(tmp_path, change_manifest(contents, **changes)), message)


@BOTH
@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\xff\xfe", "'manifest.json' is not JSON"),
        (b"{", "'manifest.json' is not JSON"),
        (b"[" * 100_000, "'manifest.json' is not JSON"),
        (b"[]", "'manifest.json' is not a JSON object"),
        (b"{}", "not a bundle"),
        (b" " * (2**20 + 1), "'manifest.json' states 1048577 bytes, the limit is 1048576"),
    ],
)
def test_a_manifest_that_is_none(tmp_path, contents, form: Form, data, message):
    refused(form(tmp_path, contents | {"manifest.json": data}), message)


@BOTH
def test_listed_names_cannot_lead_out_of_the_folder(tmp_path, contents, form: Form):
    (tmp_path / "secret").write_bytes(b"")
    members = json.loads(contents["manifest.json"])["members"]
    members["../secret"] = {"sha256": hashlib.sha256(b"").hexdigest(), "size": 0}
    refused(form(tmp_path, change_manifest(contents, members=members)), "unsafe member path")


@BOTH
def test_an_entry_without_a_hash(tmp_path, contents, form: Form):
    members = json.loads(contents["manifest.json"])["members"]
    members["probe.npy"] = {"size": 1}
    refused(form(tmp_path, change_manifest(contents, members=members)), "no size and SHA-256")


def test_a_member_nobody_listed(tmp_path, contents):
    refused(as_zip(tmp_path, contents | {"extra.py": b""}), "'extra.py' is not listed")


@BOTH
def test_a_further_member_that_is_listed_is_checked_and_left_alone(tmp_path, contents, form: Form):
    path = form(tmp_path, forge(contents, "notes.txt", b"hello"))
    assert "notes.txt" in check_bundle(path)["members"]
    assert load_bundle(path).backend == "pytorch"


class Bomb:
    def __reduce__(self):
        return (Path.touch, (Path("bomb-went-off"),))


def npy(header: str, payload: bytes = b"") -> bytes:
    text = header.encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + payload


HUGE = "{'descr': '<c8', 'fortran_order': False, 'shape': (1, 1000000000, 1000000000)}"


@BOTH
@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("probe.npy", pickle.dumps(Bomb()), "'probe.npy' is not NPY"),
        ("probe.npy", npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}"), "not NPY"),
        ("probe.npy", npy(HUGE), "must be complex64, got complex64 .* in 0 bytes"),
        ("probe.npy", npy(HUGE.replace("c8", "f4")), "must be complex64, got float32"),
        ("weights.safetensors", pickle.dumps(Bomb()), "'weights.safetensors' cannot be read"),
        ("weights.safetensors", b"", "'weights.safetensors' cannot be read"),
        ("config.json", b'{"config": {}}', "lacks the table 'overrides_applied'"),
        ("scaling.json", b"[1]", "'scaling.json' is not a JSON object"),
        ("history.json", b'{"loss": ["a"]}', "'history.json' must hold lists of numbers"),
        ("history.json", b'{"loss": 1}', "'history.json' must hold lists of numbers"),
    ],
)
def test_a_forged_member_is_refused_and_runs_nothing(
    tmp_path, contents, monkeypatch, form: Form, name, data, message
):
    monkeypatch.chdir(tmp_path)
    path = form(tmp_path, forge(contents, name, data))
    check_bundle(path)  # size and hash agree, which is all it speaks for
    with pytest.raises(BundleError, match=message):
        load_bundle(path)
    assert not Path("bomb-went-off").exists()


@BOTH
def test_a_backend_without_a_name_is_refused(tmp_path, contents, form: Form):
    with pytest.raises(BundleError, match="must be a name, got 'two words'"):
        load_bundle(form(tmp_path, change_manifest(contents, backend="two words")))


def test_what_is_no_bundle(tmp_path):
    refused(as_zip(tmp_path, {"scan.npy": b""}), "not a bundle: no manifest.json in it")
    old = {"manifest.dill": b"", "autoencoder/params.dill": pickle.dumps(Bomb())}
    refused(as_zip(tmp_path, old), "pickled models of an older system, which are never opened")
    refused(as_folder(tmp_path, {"manifest.dill": b""}), "pickled models of an older system")
