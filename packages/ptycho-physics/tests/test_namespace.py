import math
from types import SimpleNamespace

import numpy as np
import pytest
from ptycho_physics._namespace import (
    abs2,
    as_like,
    complex_of,
    known,
    log_factorial,
    scatter_add,
    to_numpy,
)


def test_log_factorial_matches_lgamma():
    counts = np.array([0.0, 0.5, 1.0, 2.0, 3.7, 10.0, 1e3, 1e7])
    expected = [math.lgamma(c + 1) for c in counts]
    np.testing.assert_allclose(log_factorial(counts, np), expected, rtol=1e-10, atol=1e-10)


def test_scatter_add_accumulates_repeated_indices(any_library):
    flat = any_library.array(np.zeros(4, dtype=np.complex64))
    index = any_library.array(np.array([1, 1, 3]))
    values = any_library.array(np.array([1, 2j, 3], dtype=np.complex64))
    found = scatter_add(flat, index, values, any_library.xp)
    np.testing.assert_array_equal(any_library.numpy(found), [0, 1 + 2j, 0, 3])


def test_a_namespace_may_bring_its_own_scatter_add():
    own = SimpleNamespace(beyond=SimpleNamespace(scatter_add=lambda *arguments: arguments))
    assert scatter_add("flat", "index", "values", own) == ("flat", "index", "values")


def test_known_is_none_where_a_compiler_traces():
    jax = pytest.importorskip("jax", reason="only what compiles traces")
    seen = []
    jax.jit(lambda x: seen.append(known(x)))(1.0)
    assert seen == [None]


def test_known_is_the_number(any_library):
    assert known(any_library.array(np.float64(2.5))) == 2.5


def test_to_numpy_takes_any_library(any_library):
    values = np.array([1 + 2j, 3])
    found = to_numpy(any_library.array(values))
    assert isinstance(found, np.ndarray)
    np.testing.assert_array_equal(found, values)


def test_to_numpy_leaves_the_gradient_behind(torch):
    leaf = torch.ones(2, dtype=torch.complex64, requires_grad=True)
    np.testing.assert_array_equal(to_numpy((leaf * 2j).conj()), [-2j, -2j])


@pytest.mark.parametrize(("dtype", "expected"), [(np.float32, np.complex64), (float, complex)])
def test_complex_of_keeps_the_precision(any_library, dtype, expected):
    parts = (any_library.array(np.array([x], dtype=dtype)) for x in (1, 2))
    found = any_library.numpy(complex_of(*parts, any_library.xp))
    assert found.dtype == expected
    assert found[0] == 1 + 2j


def test_scatter_add_refuses_what_it_does_not_know():
    with pytest.raises(TypeError, match="an array of the array API standard, got list"):
        scatter_add([0.0], [0], [1.0])


def test_abs2_takes_real_and_complex():
    np.testing.assert_allclose(abs2(np.array([3.0, -2.0]), np), [9, 4])
    import array_api_compat.numpy as xp

    np.testing.assert_allclose(abs2(np.array([3 + 4j]), xp), [25])


def test_log_factorial_of_many_counts_is_finite_in_single_precision(library):
    import array_api_compat

    counts = library.array(np.array([3e4, 1e6], dtype=np.float32))
    found = library.numpy(log_factorial(counts, array_api_compat.array_namespace(counts)))
    np.testing.assert_allclose(found, [math.lgamma(3e4 + 1), math.lgamma(1e6 + 1)], rtol=1e-5)


def test_tensors_go_to_the_device_of_the_others(torch):
    import array_api_compat.torch as xp

    there = torch.zeros(2, device="meta")  # a device that every machine has
    assert as_like(torch.zeros(3), there, xp).device.type == "meta"
    assert as_like(np.zeros(3), there, xp).device.type == "meta"
    kept = torch.zeros(3, requires_grad=True)
    assert as_like(kept * 2, torch.zeros(2), xp).requires_grad
