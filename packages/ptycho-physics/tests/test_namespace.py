import math

import numpy as np
import pytest
from ptycho_physics._namespace import abs2, as_like, log_factorial, scatter_add


def test_log_factorial_matches_lgamma():
    counts = np.array([0.0, 0.5, 1.0, 2.0, 3.7, 10.0, 1e3, 1e7])
    expected = [math.lgamma(c + 1) for c in counts]
    np.testing.assert_allclose(log_factorial(counts, np), expected, rtol=1e-10, atol=1e-10)


def test_scatter_add_accumulates_repeated_indices(library):
    flat = library.array(np.zeros(4, dtype=np.complex64))
    index = library.array(np.array([1, 1, 3]))
    values = library.array(np.array([1, 2j, 3], dtype=np.complex64))
    np.testing.assert_array_equal(
        library.numpy(scatter_add(flat, index, values)), [0, 1 + 2j, 0, 3]
    )


def test_scatter_add_refuses_what_it_does_not_know():
    with pytest.raises(TypeError, match="NumPy or PyTorch arrays expected, found list"):
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
