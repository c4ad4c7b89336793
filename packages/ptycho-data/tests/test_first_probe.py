import numpy as np
import pytest
from ptycho_data._build import first_probe


@pytest.mark.parametrize("N", [16, 17])
@pytest.mark.parametrize("domain", ["counts", "amplitude"])
def test_a_focused_probe_is_found_where_nothing_is_in_the_beam(N, domain):
    y, x = np.indices((N, N)) - N // 2
    probe = np.exp(-(x**2 + 2 * y**2) / 6.0)  # symmetric: a real, positive far field
    far = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(probe)))
    stack = np.repeat(np.abs(far[np.newaxis]) ** (2 if domain == "counts" else 1), 5, axis=0)
    found = first_probe(stack, None, domain)
    assert found.dtype == np.complex64
    assert found.shape == (1, N, N)
    np.testing.assert_allclose(found[0], probe / np.linalg.norm(probe), atol=1e-6)


def test_power_is_one_and_bad_pixels_are_dark():
    stack = np.ones((300, 8, 8), np.uint16)
    bad = np.zeros((8, 8), bool)
    stack[:, 2, 3], bad[2, 3] = 60_000, True
    found = first_probe(stack, bad, "counts")
    assert np.sum(np.abs(found) ** 2) == pytest.approx(1, rel=1e-5)
    assert np.abs(found[0]).argmax() == 4 * 8 + 4
    assert np.isfinite(first_probe(np.zeros((2, 8, 8)), None, "counts")).all()
