"""HDF5 without trust: nothing outside the file, nothing larger than the file, no objects."""

import os
import pickle
import subprocess
import sys

import h5py
import numpy as np
import pytest
from ptycho_data import MissingScanError, ScanFormatError
from ptycho_data._hdf5 import H5File, is_hdf5
from ptycho_data._mapped import is_mapped
from ptycho_data._stack import LazyStack

VALUES = np.random.default_rng(0).integers(0, 9, (12, 8, 8)).astype(np.uint16)


@pytest.fixture
def make(tmp_path):
    def write(fill, **options):
        path = tmp_path / "a.h5"
        with h5py.File(path, "w", **options) as file:
            fill(file)
        return path

    return write


def test_the_signature_tells_wherever_it_stands(make, tmp_path):
    for size in (0, 512, 2048):
        path = make(lambda file: file.create_dataset("a", data=VALUES), userblock_size=size)
        assert is_hdf5(path)
        with H5File(path) as file:  # and the map lies where it should, behind the block
            np.testing.assert_array_equal(file.stack("a"), VALUES)
    (tmp_path / "b.h5").write_bytes(b"\x89HDF nothing of the kind")
    assert not is_hdf5(tmp_path / "b.h5")


@pytest.mark.parametrize("dtype", ["<u2", ">u2", "i1", ">f4", "f8", "c8", "?"])
def test_stacks_of_every_type_and_layout(make, dtype):
    values = VALUES.astype(dtype)

    def fill(file):
        file["plain"] = values
        file.create_dataset("chunked", data=values, chunks=(2, 8, 8))
        file.create_dataset("packed", data=values, chunks=(5, 3, 8), compression="lzf")
        file["link"] = h5py.SoftLink("/group/inner")
        file["group/inner"] = h5py.SoftLink("../nothing")
        file["group/there"] = h5py.SoftLink("deeper/data")
        file["group/deeper/data"] = values

    with H5File(make(fill)) as file:
        for name, kept in (("plain", True), ("chunked", False), ("packed", False),
                           ("group/there", True)):  # fmt: skip
            stack = file.stack(name)
            assert is_mapped(stack) if kept else isinstance(stack, LazyStack)
            assert stack.dtype == values.dtype
            np.testing.assert_array_equal(stack, values)
            np.testing.assert_array_equal(file.read(name), values)
        assert "group/there" in file
        assert "link" not in file
        assert "nothing" not in file
        assert set(file.names) == {"plain", "chunked", "packed", "group/deeper/data"}


def _external(file):
    file["a"] = h5py.ExternalLink("/etc/hostname", "/a")


def _through_external(file):
    file["group"] = h5py.ExternalLink("other.h5", "/")
    file["a"] = h5py.SoftLink("/group/a")


def _circle(file):
    file["a"], file["b"] = h5py.SoftLink("/b"), h5py.SoftLink("/a")


def _values_elsewhere(file):
    file.create_dataset("a", VALUES.shape, VALUES.dtype, external=[("raw", 0, VALUES.nbytes)])


def _virtual(file):
    layout = h5py.VirtualLayout(VALUES.shape, VALUES.dtype)
    layout[:] = h5py.VirtualSource("other.h5", "a", VALUES.shape)
    file.create_virtual_dataset("a", layout)


def _put_together(file, name="a", source="b", rows=12):
    layout = h5py.VirtualLayout(VALUES.shape, VALUES.dtype)
    layout[:rows] = h5py.VirtualSource(".", source, (rows, 8, 8))
    file.create_virtual_dataset(name, layout)


def _virtual_in_part(file):
    file["b"] = VALUES[:10]
    _put_together(file, rows=10)


def _virtual_of_nothing(file):
    _put_together(file, source="gone")


def _virtual_of_virtual(file):
    file["c"] = VALUES
    _put_together(file, "b", "c")
    _put_together(file)


def _huge(file):
    file.create_dataset("a", (1 << 40, 8, 8), "u2", chunks=(1, 8, 8))


def _huge_in_one_piece(file):
    file.create_dataset("a", (1 << 40, 8, 8), "u2")


def _bomb(file):
    zeros = np.zeros((40, 1024, 1024), np.uint16)
    file.create_dataset("a", data=zeros, chunks=(1, 1024, 1024), compression="gzip")


def _large_chunks(file):
    file.create_dataset("a", (3, 1 << 14, 1 << 14), "u1", chunks=(2, 1 << 14, 1 << 14))


def _objects(file):
    file["a"] = ["text"]


def _references(file):
    file.create_dataset("a", (3,), h5py.ref_dtype)


def _records(file):
    file["a"] = np.zeros((3, 4, 4), [("x", "f4"), ("y", "i4")])


def _nothing(file):
    file["a"] = h5py.Empty("f4")


def _group(file):
    file.create_group("a")


@pytest.mark.parametrize(
    ("fill", "found"),
    [
        (_external, r"data in another file \(/etc/hostname\); only files in the same folder"),
        (_through_external, r"data in another file \(other.h5\); pass --follow-links"),
        (_circle, "links that lead in a circle"),
        (_values_elsewhere, "values are in a raw file"),
        (_virtual, r"data in another file \(other.h5\); pass --follow-links"),
        (_virtual_in_part, "640 of 768 values are set"),
        (_virtual_of_nothing, "no dataset gone"),
        (_virtual_of_virtual, "a virtual dataset of virtual datasets"),
        (_huge, "140737488355328 declared bytes"),
        (_huge_in_one_piece, "140737488355328 declared bytes"),
        (_bomb, "83886080 declared bytes"),
        (_large_chunks, "chunks of 536870912 bytes"),
        (_objects, "objects are never loaded"),
        (_references, "dtype object"),
        (_records, "must be plain numbers"),
        (_nothing, "shape None"),
        (_group, "no such dataset"),
        (lambda file: file, "no such dataset"),
    ],
    ids=lambda value: getattr(value, "__name__", "")[1:],
)
def test_what_is_no_data_of_this_file_is_refused(make, fill, found):
    with H5File(make(fill)) as file:
        for use in (file.header, file.read, file.stack):
            with pytest.raises(ScanFormatError, match=found) as caught:
                use("a")
            (violation,) = caught.value.violations
            assert violation.key == "a"
            assert "\n" not in str(caught.value)


@pytest.mark.parametrize("options", [{}, {"chunks": (5, 8, 8), "compression": "gzip"}])
def test_virtual_datasets_of_the_same_file(make, options):
    def fill(file):
        file.create_dataset("raster", data=VALUES.reshape(3, 4, 8, 8))
        layout = h5py.VirtualLayout(VALUES.shape, VALUES.dtype)
        for row in range(3):  # as NXcxi_ptycho makes a stack of a raster
            layout[4 * row : 4 * row + 4] = h5py.VirtualSource(file["raster"])[row]
        file.create_virtual_dataset("stack", layout)
        file.create_dataset("b", data=VALUES, **options)
        _put_together(file)

    with H5File(make(fill)) as file:
        for name in ("stack", "a"):
            stack = file.stack(name)
            assert isinstance(stack, LazyStack)
            np.testing.assert_array_equal(stack, VALUES)
            np.testing.assert_array_equal(stack[[7, 2]], VALUES[[7, 2]])
            np.testing.assert_array_equal(file.read(name), VALUES)


def _external_and_virtual(file):
    file["group"] = h5py.ExternalLink("other.h5", "/inner")
    layout = h5py.VirtualLayout(VALUES.shape, VALUES.dtype)
    layout[:] = h5py.VirtualSource("other.h5", "inner/packed", VALUES.shape)
    file.create_virtual_dataset("virtual", layout)


def test_links_to_files_in_the_same_folder_are_followed_on_demand(make, tmp_path):
    path = make(_external_and_virtual)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["inner/plain"] = VALUES
        file["inner/link"] = h5py.SoftLink("/inner/plain")
        file["inner/packed"] = VALUES
        file["inner/far"] = h5py.ExternalLink("../far.h5", "/a")
        file["inner/back"] = h5py.ExternalLink("a.h5", "/group/back")
    with H5File(path, follow=2) as file:
        assert file.linked == ()
        for name in ("group/plain", "group/link", "group/packed", "virtual"):
            stack = file.stack(name)
            np.testing.assert_array_equal(stack, VALUES)
            np.testing.assert_array_equal(file.read(name), VALUES)
            assert is_mapped(stack) == (name != "virtual")
        assert file.linked == (tmp_path / "other.h5",)
        for name, found in (("group/far", "only files in the same"), ("group/back", "--follow")):
            with pytest.raises(ScanFormatError, match=found):
                file.stack(name)
    (tmp_path / "other.h5").unlink()
    with H5File(path, follow=2) as file, pytest.raises(MissingScanError, match=r"other\.h5"):
        file.stack("group/plain")


def test_links_may_lead_into_folders_below_and_nowhere_else(make, tmp_path):
    below, outside = tmp_path / "scan" / "raw" / "b.h5", tmp_path / "outside.h5"
    below.parent.mkdir(parents=True)
    for path in (below, outside):
        with h5py.File(path, "w") as file:
            file["a"] = VALUES
    (below.parent / "link.h5").symlink_to(outside)

    def fill(file):
        file["below"] = h5py.ExternalLink("raw/b.h5", "/a")
        file["absolute"] = h5py.ExternalLink(str(below), "/a")
        file["moved"] = h5py.ExternalLink("/gone/c.h5", "/a")
        file["by_link"] = h5py.ExternalLink("raw/link.h5", "/a")
        file["above"] = h5py.ExternalLink("../outside.h5", "/a")

    path = make(fill).rename(tmp_path / "scan" / "a.h5")
    (tmp_path / "scan" / "c.h5").write_bytes(below.read_bytes())
    with H5File(path, follow=1) as file:
        for name in ("below", "absolute", "moved"):
            np.testing.assert_array_equal(file.stack(name), VALUES)
        for name in ("by_link", "above"):
            with pytest.raises(ScanFormatError, match="only files in the same folder"):
                file.stack(name)
    with H5File(path, follow=1, within=tmp_path) as file:
        for name in ("by_link", "above"):
            np.testing.assert_array_equal(file.stack(name), VALUES)


@pytest.mark.parametrize("chunks", [None, (1, 1, 8, 8), (2, 2, 4, 8), (1, 3, 8, 8), (1, 4, 8, 8)])
def test_patterns_on_a_raster_are_counted_line_by_line(make, chunks):
    cube = np.arange(3 * 4 * 8 * 8).reshape(3, 4, 8, 8).astype(np.uint16)
    path = make(lambda file: file.create_dataset("a", data=cube, chunks=chunks))
    with H5File(path) as file:
        stack = file.stack("a", raster=True)
        with pytest.raises(ScanFormatError, match="three axes"):
            file.stack("a")
    flat = cube.reshape(12, 8, 8)
    assert stack.shape == flat.shape
    np.testing.assert_array_equal(stack[:], flat)
    np.testing.assert_array_equal(stack[[7, 0, 11, 4, 3]], flat[[7, 0, 11, 4, 3]])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(stack))[2:9], flat[2:9])  # noqa: S301


def test_members_of_a_group_are_listed_with_links(make):
    def fill(file):
        file["group/a"] = VALUES
        file["group/b"] = h5py.ExternalLink("gone.h5", "/a")
        file["group"].attrs["NX_class"] = "NXdata"

    with H5File(make(fill)) as file:
        assert file.members("group") == ("a", "b")
        assert file.members("") == ("group",)
        assert file.members("group/a") == file.members("none") == ()
        assert file.text("group", "NX_class") == "NXdata"
        assert file.text("group", "none") is None


def test_a_filter_that_is_not_here_is_named(make, monkeypatch):
    path = make(lambda file: file.create_dataset("a", data=VALUES, compression="lzf"))
    monkeypatch.setattr(h5py.h5z, "filter_avail", lambda _: False)
    with H5File(path) as file, pytest.raises(ScanFormatError, match=r"lzf.*pip install hdf5plugin"):
        file.read("a")


def test_damage_is_found_when_it_is_read(make):
    options = {"chunks": (1, 8, 8), "fletcher32": True, "compression": "gzip"}
    path = make(lambda file: file.create_dataset("a", data=VALUES, **options))
    with h5py.File(path) as file:
        place = file["a"].id.get_chunk_info(5).byte_offset
    content = bytearray(path.read_bytes())
    content[place + 9] ^= 0xFF
    path.write_bytes(content)
    with H5File(path) as file:
        stack = file.stack("a")
        np.testing.assert_array_equal(stack[:5], VALUES[:5])
        for read in (lambda: stack[5], lambda: file.read("a")):
            with pytest.raises(ScanFormatError, match=r"a must be .*what HDF5 cannot read"):
                read()


def test_a_truncated_file_is_refused_at_once(make):
    path = make(lambda file: file.create_dataset("a", data=VALUES))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ScanFormatError, match="complete and undamaged"):
        H5File(path)
    with pytest.raises(MissingScanError, match="no such file"):
        H5File(path.with_name("missing.h5"))
    with pytest.raises(ScanFormatError, match="not a regular file"):
        H5File(path.parent)


def test_numbers_from_datasets_and_attributes(make):
    def fill(file):
        file["a"], file["list"], file["text"] = 2.5, [1, 2], "x"
        file.attrs["energy"], file.attrs["name"] = np.float32(8000), "x"
        file["a"].attrs["size"] = [3]

    with H5File(make(fill)) as file:
        assert file.number("a") == 2.5
        assert file.number("none") is None
        assert file.number("/", "energy") == 8000
        assert file.number("a", "size") == 3
        assert file.number("/", "none") is None
        assert file.number("none", "size") is None
        for wrong in (("list",), ("text",), ("/", "name")):
            with pytest.raises(ScanFormatError):
                file.number(*wrong)


#: Looks through files with a wrong checksum; HDF5 must not end the process.
LOOK = """
import sys
from pathlib import Path
from ptycho_data._hdf5 import H5File
from ptycho_data._protected import protection
path, whole = Path(sys.argv[1]), Path(sys.argv[1]).read_bytes()
for block in (b"BTHD", b"BTLF", b"FRHP", b"FHDB"):
    changed = bytearray(whole)
    changed[whole.index(block) + 10] ^= 1
    path.write_bytes(changed)
    protection(path)
    try:
        with H5File(path) as file:
            file.names
            file.members("many")
    except ValueError:
        pass
"""


def test_wrong_checksums_of_a_large_group_do_not_end_the_process(tmp_path):
    """More than eight links are kept in a tree with checksums, which HDF5 walks in its own way."""
    path = tmp_path / "a.h5"
    with h5py.File(path, "w", libver=("v110", "v110")) as file:
        for k in range(12):
            file[f"many/{k}"] = k
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", LOOK, str(path)],
        capture_output=True,
        text=True,
        env=os.environ | {"MALLOC_PERTURB_": "165"},  # new memory is not zero, as after a while
    )
    assert done.returncode == 0, done.stderr


def test_names_are_sorted_and_every_group_is_seen_once(make):
    def fill(file):
        for name in ("b/y", "b/x", "a"):
            file[name] = VALUES
        file["b/up"] = file["/"]
        file["c"] = h5py.SoftLink("/a")

    with H5File(make(fill)) as file:
        assert file.names == ("a", "b/x", "b/y")
        assert file.members("b") == ("up", "x", "y")
