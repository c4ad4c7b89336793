"""Bundles from strangers: nothing is read before its name and size were found harmless."""

import pickle
import struct
import zipfile
from pathlib import Path

import pytest
from ptycho_data._bundle_file import BUNDLE_NAME, BundleError, check_size, open_members


def pack(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def refused(path: Path, match: str) -> None:
    with pytest.raises(BundleError, match=match) as caught, open_members(path):
        pass
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def read(path: Path, name: str) -> bytes:
    with open_members(path) as members:
        return members.read(name)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_members_of_a_file(tmp_path, method):
    path = pack(tmp_path / "b.zip", {"manifest.json": b"{}", "e": b""}, method)
    with open_members(path) as members:
        assert members.complete
        assert members.sizes == {"manifest.json": 2, "e": 0}
        assert members.read("manifest.json") == b"{}"
        assert members.read("e") == b""


def test_members_of_a_folder_without_links_and_folders(tmp_path):
    (tmp_path / "manifest.json").write_bytes(b"{}")
    (tmp_path / "inner").mkdir()
    (tmp_path / "link").symlink_to("/etc/passwd")
    with open_members(tmp_path) as members:
        assert not members.complete
        assert members.sizes == {"manifest.json": 2}
        assert members.read("manifest.json") == b"{}"


def test_a_folder_member_that_changes_under_our_hands(tmp_path):
    (tmp_path / "manifest.json").write_bytes(b"{}")
    with open_members(tmp_path) as members:
        (tmp_path / "manifest.json").write_bytes(b"{     }")
        with pytest.raises(BundleError, match="states 2 bytes, gives 3 or more"):
            members.read("manifest.json")
        (tmp_path / "manifest.json").unlink()
        with pytest.raises(BundleError, match="cannot be read"):
            members.read("manifest.json")


def test_places_without_a_bundle(tmp_path):
    refused(tmp_path / "missing.zip", "no such bundle")
    refused(tmp_path, f"neither {BUNDLE_NAME} nor manifest.json")
    (tmp_path / "text.zip").write_text("hello")
    refused(tmp_path / "text.zip", "not a readable ZIP file")
    (tmp_path / "empty.zip").touch()
    refused(tmp_path / "empty.zip", "not a readable ZIP file")


def test_every_truncation_is_refused(tmp_path):
    data = pack(tmp_path / "b.zip", {"manifest.json": b"{}", "a": b"content"}).read_bytes()
    for length in range(len(data)):
        (tmp_path / "cut.zip").write_bytes(data[:length])
        refused(tmp_path / "cut.zip", "not a readable ZIP file")


@pytest.mark.parametrize(
    "name",
    [
        "../evil", "/etc/evil", "a/../../evil", "..", "C:evil", "a\\..\\..\\evil", "a//b",
        "a/./b", "tab\t", "x" * 300, "what?", ". .",
    ],
)  # fmt: skip
def test_unsafe_paths(tmp_path, name):
    refused(pack(tmp_path / "b.zip", {"manifest.json": b"{}", name: b""}), "unsafe member path")


@pytest.mark.parametrize("second", ["a", "A"])
def test_members_there_twice(tmp_path, second):
    path = tmp_path / "b.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", b"one")
        if second == "A":
            archive.writestr(second, b"two")
        else:
            with pytest.warns(UserWarning, match="Duplicate"):
                archive.writestr(second, b"two")
    refused(path, "is there twice")


def test_a_flood_of_members(tmp_path):
    refused(pack(tmp_path / "b.zip", {f"m{i}": b"" for i in range(65)}), "holds 65 members")


def test_a_member_that_inflates_absurdly(tmp_path):
    zeros = bytes(2**24 + 1)
    path = pack(tmp_path / "b.zip", {"weights.safetensors": zeros}, zipfile.ZIP_DEFLATED)
    refused(path, r"'weights.safetensors' would inflate from \d+ to 16777217 bytes")
    # The same bytes stored as they are do no harm, and neither does a small one.
    stored = pack(tmp_path / "c.zip", {"weights.safetensors": zeros})
    assert len(read(stored, "weights.safetensors")) == len(zeros)
    small = pack(tmp_path / "d.zip", {"probe.npy": bytes(2**20)}, zipfile.ZIP_DEFLATED)
    assert len(read(small, "probe.npy")) == 2**20


def lie_about_size(path: Path, size: int) -> None:
    """Write another uncompressed size into the central directory of a one-member ZIP."""
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, data.index(b"PK\x01\x02") + 24, size)
    path.write_bytes(data)


@pytest.mark.parametrize("stated", [3, 100_000])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_member_that_is_not_as_long_as_it_states(tmp_path, method, stated):
    path = pack(tmp_path / "b.zip", {"probe.npy": b"0123456789" * 1000}, method)
    lie_about_size(path, stated)
    with pytest.raises(BundleError, match=r"'probe\.npy' .*damaged"):
        read(path, "probe.npy")


def test_damaged_bytes(tmp_path):
    path = pack(tmp_path / "b.zip", {"a": b"content"})
    path.write_bytes(path.read_bytes().replace(b"content", b"kontent"))
    with pytest.raises(BundleError, match="'a' is damaged"):
        read(path, "a")


def test_stated_sizes_beyond_any_bundle():
    with pytest.raises(BundleError, match="states 1099511627776 bytes, the limit is"):
        check_size(Path("b.zip"), "weights.safetensors", 2**40, 2**40)
    with pytest.raises(BundleError, match="the limit is"):
        check_size(Path("b.zip"), "config.json", 2**25, 2**25)


def test_encrypted_members(tmp_path):
    path = pack(tmp_path / "b.zip", {"a": b"content"})
    data = bytearray(path.read_bytes())
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    refused(path, "'a' must be unencrypted")


def test_unknown_compression(tmp_path):
    refused(
        pack(tmp_path / "b.zip", {"a": b"content"}, zipfile.ZIP_BZIP2), "must be stored or deflated"
    )


def test_pickled_bundles_of_old_are_listed_but_not_opened(tmp_path):
    members = {"manifest.dill": b"", "autoencoder/": b"", "autoencoder/params.dill": b""}
    with open_members(pack(tmp_path / BUNDLE_NAME, members)) as found:
        assert set(found.sizes) == set(members)


def test_the_error_survives_a_process_border():
    error = pickle.loads(pickle.dumps(BundleError("b.zip", "is bad")))  # noqa: S301
    assert (str(error), error.problem) == ("b.zip: is bad", "is bad")
