"""What can be said in JSON."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ptycho_data._files import json_bytes, jsonable

LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
)
TREES = st.recursive(
    LEAVES | st.text(), lambda t: st.lists(t) | st.dictionaries(st.text(), t), max_leaves=10
)


@given(TREES)
def test_plain_content_comes_back(tree):
    assert json.loads(json_bytes(tree)) == tree


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float32("nan")])
def test_numbers_json_does_not_know_become_null(value):
    assert json_bytes({"a": [value, np.array([value, 1.0])]}).split() == (
        b'{ "a": [ null, [ null, 1.0 ] ] }'.split()
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.bool_(True), True),
        (np.int8(-3), -3),
        (np.str_("a"), "a"),
        (np.arange(4).reshape(2, 2), [[0, 1], [2, 3]]),
        ({"b", "a"}, ["a", "b"]),
        ({1: "one"}, {"1": "one"}),
    ],
)
def test_numpy_and_collections(value, expected):
    result = jsonable(value)
    assert result == expected
    assert type(result) is type(expected) or isinstance(result, str)


@pytest.mark.parametrize(
    "value", [1j, np.complex64(1), np.datetime64("2020-01-01"), object(), b"a"]
)
def test_what_has_no_form_in_json_is_refused(value):
    with pytest.raises(TypeError, match="no form in JSON"):
        jsonable([value])


def test_order_is_kept_or_sorted_on_request():
    assert list(json.loads(json_bytes({"b": 1, "a": 2}))) == ["b", "a"]
    assert list(json.loads(json_bytes({"b": 1, "a": 2}, sort_keys=True))) == ["a", "b"]


def test_a_file_name_that_is_not_utf8_survives():
    name = b"scan-\xff".decode(errors="surrogateescape")
    assert json.loads(json_bytes({"input": name})) == {"input": name}
