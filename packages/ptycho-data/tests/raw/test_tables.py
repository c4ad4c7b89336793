import numpy as np
import pytest
from ptycho_data import MissingScanError, ScanFormatError
from ptycho_data.raw._tables import NpyFile, TextTable


@pytest.mark.parametrize(
    "text",
    [
        "x,y\n1,2\n3,4\n",
        "# written by a beamline\n# x y\n1 2\n3 4\n",
        "x;y\n1;2\n3;4",
        "x\ty\r\n1\t2\r\n3\t4\r\n",
        '"x", "y"\n 1.0, 2\n3,4e0\n\n',
    ],
)
def test_columns_are_read_by_name_and_by_number(tmp_path, text):
    path = tmp_path / "a.csv"
    path.write_text(text)
    table = TextTable(path)
    assert table.names == ("x", "y")
    assert table.read("y").tolist() == table.read("1").tolist() == [2, 4]
    assert table.read("").shape == (2, 2)
    assert "x" in table
    assert "2" not in table


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "no line of numbers"),
        ("a,b\n", "no line of numbers"),
        ("1,2\n3\n", "1 numbers in line 2, 2 above"),
        ("1,2\nx,4\n", "line 2: 'x,4'"),
        (b"\xff\xfe\x00", "no text"),
    ],
)
def test_what_is_no_table_is_told(tmp_path, text, found):
    path = tmp_path / "a.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ScanFormatError, match=found):
        TextTable(path)


def test_a_column_that_is_not_there_is_told_with_those_that_are(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("x,y\n1,2\n")
    with pytest.raises(ScanFormatError, match="columns are x, y"):
        TextTable(path).read("z")


@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_are_mapped(tmp_path, order):
    values = np.asarray(np.arange(24).reshape(2, 3, 4), order=order)
    np.save(tmp_path / "a.npy", values)
    file = NpyFile(tmp_path / "a.npy")
    np.testing.assert_array_equal(file.read(""), values)
    assert file.header("").shape == (2, 3, 4)


def test_damaged_arrays_and_objects_are_refused(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.arange(100))
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ScanFormatError, match="800 declared bytes"):
        NpyFile(path)
    np.save(path, np.array([{}]), allow_pickle=True)
    with pytest.raises(ScanFormatError):
        NpyFile(path)
    with pytest.raises(MissingScanError):
        NpyFile(tmp_path / "none.npy")
