import numpy as np
import pytest
from ptycho_physics import from_polar


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_amplitude_and_phase_come_back(any_library, rng, dtype):
    amplitude = rng.uniform(0.5, 1, (2, 4, 4)).astype(dtype)
    phase = rng.uniform(-3, 3, (2, 4, 4)).astype(dtype)
    arrays = (any_library.array(x) for x in (amplitude, phase))
    field = any_library.numpy(from_polar(*arrays, xp=any_library.xp))
    assert field.dtype == np.result_type(dtype, np.complex64)
    np.testing.assert_allclose(np.abs(field), amplitude, rtol=1e-6)
    np.testing.assert_allclose(np.angle(field), phase, rtol=1e-5)
