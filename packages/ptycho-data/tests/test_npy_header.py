import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from ptycho_data._untrusted import HeaderError, read_header


def _saved(array):
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    stream.seek(0)
    return stream


def _raw(text, version=b"\x01\x00"):
    body = text.encode("latin-1")
    width = 2 if version == b"\x01\x00" else 4
    return io.BytesIO(b"\x93NUMPY" + version + len(body).to_bytes(width, "little") + body)


@given(
    hnp.arrays(
        st.one_of(
            hnp.integer_dtypes(endianness="?"),
            hnp.floating_dtypes(endianness="?"),
            hnp.complex_number_dtypes(endianness="?"),
            hnp.boolean_dtypes(),
            hnp.unicode_string_dtypes(),
        ),
        hnp.array_shapes(min_dims=0, max_dims=4, min_side=0),
    ),
    st.booleans(),
)
def test_agrees_with_numpy(array, fortran):
    array = np.asfortranarray(array) if fortran else array
    stream = _saved(array)
    header = read_header(stream)
    assert header.shape == array.shape
    assert header.dtype == array.dtype
    assert header.nbytes == array.nbytes
    assert header.size + header.nbytes == len(stream.getvalue())


@pytest.mark.parametrize(
    "text",
    [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, -1)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (True,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': [2]}",
        "{'descr': '<f4', 'fortran_order': 1, 'shape': (2,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (" + "9" * 30 + ",)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (" + "9" * 6000 + ",)}",
        "{'descr': '<f4', 'shape': (2,)}",
        "{'descr': '|O', 'fortran_order': False, 'shape': (2,)}",
        "{'descr': '(100000,)f8', 'fortran_order': False, 'shape': (2,)}",
        "{'descr': 'f8,f8', 'fortran_order': False, 'shape': (2,)}",
        "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,)}",
        "{'descr': '<f3', 'fortran_order': False, 'shape': (2,)}",
        "__import__('os').getcwd()",
        "(" * 5000,
        "'\\d'",
        "",
    ],
)
def test_rejects_what_no_honest_writer_makes(text):
    with pytest.raises(HeaderError):
        read_header(_raw(text))


def test_names_pickle_as_the_reason():
    text = "{'descr': '|O', 'fortran_order': False, 'shape': (2,)}"
    with pytest.raises(HeaderError, match="objects are never unpickled"):
        read_header(_raw(text))


def test_rejects_long_header_before_reading_it():
    stream = io.BytesIO(b"\x93NUMPY\x02\x00" + (1 << 31).to_bytes(4, "little"))
    with pytest.raises(HeaderError, match="expected 2147483648 bytes"):
        read_header(stream)


@pytest.mark.parametrize("start", [b"", b"PK\x03\x04", b"\x93NUMPY\x03\x00", b"\x93NUMPY\x01"])
def test_rejects_other_content(start):
    with pytest.raises(HeaderError, match="no NPY header"):
        read_header(io.BytesIO(start))


def test_accepts_version_2():
    header = read_header(_raw("{'descr': '<f4', 'fortran_order': True, 'shape': ()}", b"\x02\x00"))
    assert (header.shape, header.fortran) == ((), True)
