import io
import zipfile
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ptycho_data._npz import Archive, load_arrays
from ptycho_data._violations import MissingScanError, ScanFormatError


def _npy(array, **header):
    stream = io.BytesIO()
    declared = {
        "descr": np.lib.format.dtype_to_descr(array.dtype),
        "fortran_order": False,
        "shape": array.shape,
    } | header
    np.lib.format.write_array_header_1_0(stream, declared)
    return stream.getvalue() + array.tobytes()


def _zip(path, members, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return path


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    return {
        "stack": rng.integers(0, 9, (7, 5, 5)).astype(">u2"),
        "fortran": np.asfortranarray(rng.normal(size=(4, 3, 2))),
        "scalar": np.array("text"),
        "empty": np.zeros((0, 3)),
    }


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_reads_and_maps_what_numpy_wrote(tmp_path, arrays, save):
    save(tmp_path / "a.npz", **arrays)
    with Archive(tmp_path / "a.npz") as archive:
        assert set(archive.names) == set(arrays)
        for name, array in arrays.items():
            member = archive.header(name)
            mapped, crc = archive.map(name)
            for got in (archive.read(name), mapped):
                assert got.dtype == array.dtype
                np.testing.assert_array_equal(got, array)
            is_map = save is np.savez and array.size > 0
            assert isinstance(mapped, np.memmap) == is_map
            if is_map:
                stored = mapped.T if member.fortran else mapped
                assert zlib.crc32(stored.tobytes(), crc) == member.info.CRC
            assert not is_map or not mapped.flags.writeable


def test_load_arrays_lists_all_problems(tmp_path, arrays):
    np.savez(tmp_path / "a.npz", **arrays)
    got = load_arrays(tmp_path / "a.npz", ["stack"], optional=["scalar", "absent"])
    assert set(got) == {"stack", "scalar"}
    with pytest.raises(
        ScanFormatError, match=r"missing1 must .*holds: stack, fortran.*missing2 must "
    ):
        load_arrays(tmp_path / "a.npz", ["missing1", "missing2"])


def test_missing_file_folder_and_text_are_named(tmp_path):
    with pytest.raises(MissingScanError, match=r"none\.npz must be .*no such file"):
        Archive(tmp_path / "none.npz")
    with pytest.raises(ScanFormatError, match="not a regular file"):
        Archive(tmp_path)
    (tmp_path / "text.npz").write_text("not a scan")
    with pytest.raises(ScanFormatError, match=r"text\.npz must be .*no intact zip archive"):
        Archive(tmp_path / "text.npz")


def test_object_arrays_are_never_unpickled(tmp_path):
    np.savez(tmp_path / "a.npz", evil=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ScanFormatError, match="objects are never unpickled"):
        load_arrays(tmp_path / "a.npz", ["evil"])


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("shape", [(1 << 20, 1 << 20), (3,), (5,)])
def test_declared_size_must_be_the_real_one(tmp_path, method, shape):
    path = _zip(tmp_path / "a.npz", [("a.npy", _npy(np.zeros(4), shape=shape))], method)
    with pytest.raises(ScanFormatError, match=r"a must be .*a header that declares \d+ bytes"):
        load_arrays(path, ["a"])


def test_decompression_bomb_is_refused_before_it_inflates(tmp_path):
    with (
        zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("a.npy", "w") as stream,
    ):
        header = {"descr": "|u1", "fortran_order": False, "shape": (80 << 20,)}
        np.lib.format.write_array_header_1_0(stream, header)
        for _ in range(80):
            stream.write(bytes(1 << 20))
    with pytest.raises(ScanFormatError, match="decompression bomb"):
        load_arrays(tmp_path / "a.npz", ["a"])


def test_duplicate_encrypted_and_exotic_members_are_refused(tmp_path):
    data = _npy(np.arange(3.0))
    with pytest.warns(UserWarning, match="Duplicate"):
        path = _zip(tmp_path / "twice.npz", [("a.npy", data), ("a.npy", data)])
    with pytest.raises(ScanFormatError, match="2 arrays of this name"):
        load_arrays(path, ["a"])
    path = _zip(tmp_path / "bz2.npz", [("a.npy", data)], zipfile.ZIP_BZIP2)
    with pytest.raises(ScanFormatError, match="compression method 12"):
        load_arrays(path, ["a"])
    path = _zip(tmp_path / "locked.npz", [("a.npy", data)])
    content = bytearray(path.read_bytes())
    content[content.rindex(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(ScanFormatError, match="encrypted"):
        load_arrays(path, ["a"])


def test_names_in_folders_are_other_names(tmp_path):
    path = _zip(tmp_path / "a.npz", [("../a.npy", _npy(np.arange(3.0))), ("b", b"text")])
    with Archive(path) as archive:
        assert archive.names == ("../a",)
    with pytest.raises(ScanFormatError, match="0 arrays of this name"):
        load_arrays(path, ["a"])


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), compressed=st.booleans())
def test_damage_gives_the_true_arrays_or_one_error(tmp_path, data, compressed):
    wanted = {"a": np.arange(60.0).reshape(3, 20), "b": np.array("counts")}
    path = tmp_path / "a.npz"
    (np.savez_compressed if compressed else np.savez)(path, **wanted)
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans(), "truncate"):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        for _ in range(data.draw(st.integers(1, 4))):
            place = data.draw(st.integers(0, len(content) - 1))
            content[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    message = f"{path}: found out below"
    try:
        got = load_arrays(path, ["a", "b"])
    except ScanFormatError as error:
        got, message = wanted, str(error)
    assert message.startswith((f"{path}: ", f"{path} must be "))
    assert "\n" not in message
    for name, array in wanted.items():
        np.testing.assert_array_equal(got[name], array)
