import math

import numpy as np
import pytest
from ptycho_physics._namespace import abs2, log_factorial, scatter_add


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
