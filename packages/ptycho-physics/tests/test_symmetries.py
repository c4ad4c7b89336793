import numpy as np
import pytest
from ptycho_physics import SYMMETRIES, apply_symmetry, apply_symmetry_to_positions


@pytest.mark.parametrize("symmetry", range(SYMMETRIES))
def test_pixels_turn_like_positions(any_library, symmetry):
    image = np.zeros((3, 16, 16))
    image[1, 8 - 3, 8 + 2] = 1  # at (x, y) = (2, -3) from the centre
    xp = any_library.xp
    where = any_library.array(np.array([[2.0, -3.0]]))
    ((x, y),) = any_library.numpy(apply_symmetry_to_positions(where, symmetry, xp=xp)).astype(int)
    found = any_library.numpy(apply_symmetry(any_library.array(image), symmetry, xp=xp))
    assert found[1, 8 + y, 8 + x] == 1
    assert found.sum() == 1


def test_symmetrys_are_eight_different_ones():
    image = np.random.default_rng(0).random((8, 8))
    seen = np.stack([apply_symmetry(image, k) for k in range(SYMMETRIES)]).reshape(SYMMETRIES, -1)
    assert len(np.unique(seen, axis=0)) == SYMMETRIES
    np.testing.assert_array_equal(seen[0], image.ravel())


@pytest.mark.parametrize("symmetry", range(SYMMETRIES))
def test_the_transform_of_a_turned_image_is_the_turned_transform(symmetry):
    """About the centre pixel of both: half a pixel off, phases would differ."""
    rng = np.random.default_rng(1)
    image = rng.normal(size=(8, 8)) + 1j * rng.normal(size=(8, 8))

    def transform(field):
        return np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(field)))

    np.testing.assert_allclose(
        transform(apply_symmetry(image, symmetry)),
        apply_symmetry(transform(image), symmetry),
        atol=1e-12,
    )
