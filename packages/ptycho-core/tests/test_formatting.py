import pytest
from ptycho_core.formatting import counted, format_number, table


@pytest.mark.parametrize(
    ("value", "text"), [(1234.5, "1230"), (0.00123456, "0.00123"), (999500, "1e+06"), (7, "7")]
)
def test_numbers_have_three_significant_digits(value, text):
    assert format_number(value) == text


def test_table_aligns():
    assert table([("a", "1"), ("long", "22")]) == "  a     1\n  long  22"


def test_one_thing_is_no_plural():
    assert [counted(n, "scan") for n in (0, 1, 2)] == ["0 scans", "1 scan", "2 scans"]
