import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ptycho_config.errors import InvalidValueError
from ptycho_data._stack import as_index, as_slice, rows_of


@given(indices=st.lists(st.integers(-20, 19), max_size=6) | st.slices(20))
def test_the_same_rows_are_meant_after_all(indices):
    values = np.arange(20)
    index = as_index(indices)
    np.testing.assert_array_equal(rows_of(values, as_slice(index, 20)), values[index])
    assert rows_of(None, index) is None


@pytest.mark.parametrize(
    ("indices", "even"),
    [
        ([2, 3, 4], slice(2, 5, 1)),
        ([1, 4, 7], slice(1, 8, 3)),
        ([4, 3, 2], None),  # backwards: no view keeps their order
        ([1, 2, 4], None),
        ([-2, -1], None),
        ([18, 20], None),  # beyond the end: indexing says so
        ([5], None),
    ],
)
def test_even_rows_are_a_slice(indices, even):
    found = as_slice(as_index(indices), 20)
    assert found == even if even else isinstance(found, np.ndarray)


@pytest.mark.parametrize("indices", [[0.5], [True, False], [[0, 1]], ["a"]])
def test_only_lists_of_whole_numbers_are_rows(indices):
    with pytest.raises(InvalidValueError, match="indices"):
        as_index(indices)
