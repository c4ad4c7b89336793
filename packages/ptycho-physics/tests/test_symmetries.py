import numpy as np
import pytest
from ptycho_physics import (
    SYMMETRIES,
    apply_symmetry,
    apply_symmetry_to_positions,
    defocused_probe,
    expected_counts,
    extract_patches,
    random_cells,
    solve,
)

TURN = 3  # mirrors x and y


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


def twin_of(object_, probe, positions):
    """Conjugate object and probe, and turn everything by 180 degrees."""
    far_corner = np.array(object_.shape[::-1]) - 1.0
    return object_[::-1, ::-1].conj(), apply_symmetry(probe, TURN).conj(), far_corner - positions


def scene():
    object_, probe = random_cells((60, 68), seed=0), defocused_probe(32)
    probe[..., 0, :] = probe[..., :, 0] = 0  # its mirror image would lie outside the patch
    rng = np.random.default_rng(0)
    positions = rng.uniform([16, 16], [51, 43], size=(60, 2))
    return object_, probe, positions


def test_the_twin_has_the_same_patterns():
    object_, probe, positions = scene()
    patterns, of_twin = (
        expected_counts(extract_patches(o, where, 32), p, 1e4)
        for o, p, where in (scene(), twin_of(object_, probe, positions))
    )
    np.testing.assert_allclose(of_twin, patterns, rtol=1e-4, atol=1e-4)
    # neither half of the turn alone keeps them
    for other in ((object_.conj(), probe.conj()), (object_[::-1, ::-1], apply_symmetry(probe, 3))):
        different = expected_counts(extract_patches(other[0], positions, 32), other[1], 1e4)
        assert np.abs(different - patterns).max() > 1


def test_the_solver_reaches_the_twin_just_as_well():
    object_, probe, positions = scene()
    counts = expected_counts(extract_patches(object_, positions, 32), probe, 1e6)
    _, turned_probe, turned_positions = twin_of(object_, probe, positions)
    right = solve(counts, positions, probe, epochs=8)
    twin = solve(counts, turned_positions, turned_probe, epochs=8)
    np.testing.assert_allclose(twin.r_factors, right.r_factors, rtol=0.05)
    found, other = (placed(solution, object_.shape) for solution in (right, twin))
    lit = placed(right, object_.shape, right.coverage) > 0.3 * right.coverage.max()
    assert correlation(found[lit], other[::-1, ::-1].conj()[lit]) > 0.99
    assert correlation(found[lit], other[lit]) < 0.5


def placed(solution, shape, values=None):
    """Values on the canvas of a solution, by default its object, where the true object is."""
    values = solution.object if values is None else values
    (x, y), (height, width) = solution.canvas.origin, values.shape
    frame = np.zeros(shape, values.dtype)
    frame[y : y + height, x : x + width] = values
    return frame


def correlation(one, other):
    return abs(np.corrcoef(one, other)[0, 1])
