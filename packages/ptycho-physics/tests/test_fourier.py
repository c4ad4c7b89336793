"""Patches by Fourier interpolation: where a pixel is, and that merging is the adjoint."""

import numpy as np
import pytest
from ptycho_config.errors import InvalidValueError
from ptycho_physics import extract_patches, merge_patches

SHAPES = [(20, 23), (21, 22), (40, 41)]  # with and without room for margins on both sides


def spot(shape, x0, y0, sigma=1.5):
    y, x = np.indices(shape)
    return np.exp(-((x - x0) ** 2 + (y - y0) ** 2) / (2 * sigma**2))


@pytest.mark.parametrize("N", [6, 7])
@pytest.mark.parametrize("shape", SHAPES)
def test_integer_position_is_a_plain_cut_out(library, complex_normal, N, shape):
    canvas = complex_normal(*shape)
    where = library.array(np.array([11.0, 9.0]))
    patch = extract_patches(library.array(canvas), where, N, interpolation="fourier", xp=library.xp)
    expected = canvas[9 - N // 2 : 9 - N // 2 + N, 11 - N // 2 : 11 - N // 2 + N]
    np.testing.assert_allclose(library.numpy(patch), expected, atol=1e-12)


@pytest.mark.parametrize("N", [6, 7])
@pytest.mark.parametrize("shape", SHAPES)
def test_bright_pixel_is_found_at_the_patch_centre(N, shape):
    canvas = np.zeros(shape)
    canvas[9, 11] = 1
    where = np.array([[11.0, 9.0], [12.0, 9.0], [11.0, 8.0]])
    patches = extract_patches(canvas, where, N, interpolation="fourier")
    h, expected = N // 2, np.zeros((3, N, N))
    expected[0, h, h] = expected[1, h, h - 1] = expected[2, h + 1, h] = 1
    np.testing.assert_allclose(patches, expected, atol=1e-12)


@pytest.mark.parametrize("N", [6, 7])
@pytest.mark.parametrize("shape", SHAPES)
def test_half_a_pixel_away_two_pixels_share_the_light(N, shape):
    canvas = np.zeros(shape)
    canvas[9, 11] = 1
    right, below = extract_patches(
        canvas, np.array([[11.5, 9.0], [11.0, 9.5]]), N, interpolation="fourier"
    )
    h = N // 2
    np.testing.assert_allclose(right[h, h - 1], right[h, h], rtol=1e-10)
    np.testing.assert_allclose(below[h - 1, h], below[h, h], rtol=1e-10)
    assert right.argmax() in (h * N + h - 1, h * N + h)
    np.testing.assert_allclose(right, below.T, atol=1e-12)


@pytest.mark.parametrize("N", [16, 17])
@pytest.mark.parametrize("shape", [(30, 33), (31, 32)])
@pytest.mark.parametrize("where", [(15.3, 14.8), (14.5, 15.5), (16.0, 14.25)])
def test_a_smooth_object_is_sampled_where_the_convention_says(N, shape, where):
    patch = extract_patches(spot(shape, 15.0, 15.0), np.array(where), N, interpolation="fourier")
    # Patch pixel [i, j] is the object at (x - N//2 + j, y - N//2 + i).
    expected = spot((N, N), 15.0 - where[0] + N // 2, 15.0 - where[1] + N // 2)
    np.testing.assert_allclose(patch, expected, atol=1e-4)


@pytest.mark.parametrize("N", [6, 7])
def test_a_merged_bright_pixel_is_found_at_its_position(N):
    patch = np.zeros((1, N, N))
    patch[0, N // 2, N // 2] = 1
    canvas = merge_patches(patch, np.array([[11.0, 9.0]]), (20, 21), interpolation="fourier")
    assert np.unravel_index(canvas.argmax(), canvas.shape) == (9, 11)
    np.testing.assert_allclose(canvas[9, 11], 1)


@pytest.mark.parametrize("method", ["bilinear", "fourier"])
@pytest.mark.parametrize("N", [6, 7])
@pytest.mark.parametrize("shape", SHAPES)
def test_merge_is_the_exact_adjoint_of_extract(library, complex_normal, rng, method, N, shape):
    options = {"interpolation": method, "xp": library.xp}
    canvas, patches = complex_normal(*shape), complex_normal(9, N, N)
    low, high = N // 2, [shape[1] - N + N // 2, shape[0] - N + N // 2]
    positions = rng.uniform(low, high, size=(9, 2))
    positions[0], positions[1] = low, high  # the rim of the canvas too
    where = library.array(positions)
    cut = extract_patches(library.array(canvas), where, N, **options)
    merged = merge_patches(library.array(patches), where, shape, **options)
    left = np.vdot(patches, library.numpy(cut))
    np.testing.assert_allclose(left, np.vdot(library.numpy(merged), canvas), rtol=1e-10)


@pytest.mark.parametrize("method", ["bilinear", "fourier"])
@pytest.mark.parametrize("N", [6, 7])
def test_extracting_what_was_merged_at_whole_pixels_gives_it_back(complex_normal, method, N):
    patches, where = complex_normal(3, N, N), np.array([[4.0, 4.0], [12.0, 5.0], [5.0, 13.0]])
    canvas = merge_patches(patches, where, (20, 20), interpolation=method)
    found = extract_patches(canvas, where, N, interpolation=method)
    np.testing.assert_allclose(found, patches, atol=1e-12)


@pytest.mark.parametrize("method", ["bilinear", "fourier"])
def test_a_weighted_mean_of_patches_of_one_canvas_is_the_canvas(rng, method):
    # Smooth, so that interpolating twice changes little.
    canvas = spot((30, 30), 15, 15, sigma=5) * np.exp(0.3j * spot((30, 30), 12, 17, sigma=6))
    where = np.round(rng.uniform(8, 22, size=(60, 2)))
    weight = np.ones((60, 16, 16))
    patches = extract_patches(canvas, where, 16, interpolation=method)
    total = merge_patches(patches * weight, where, canvas.shape, interpolation=method)
    norm = merge_patches(weight, where, canvas.shape, interpolation=method)
    lit = norm > 0.5
    np.testing.assert_allclose((total[lit] / norm[lit]), canvas[lit], atol=1e-10)


def test_over_the_rim_the_outermost_pixels_are_repeated(complex_normal):
    canvas = complex_normal(40, 43)
    corner = np.array([[3.4, 3.4], [39.6, 36.6]])
    found = extract_patches(canvas, corner, 6, interpolation="fourier")
    larger = np.pad(canvas, 20, mode="edge")
    expected = extract_patches(larger, corner + 20, 6, interpolation="fourier")
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_merge_onto_adds_in_place(complex_normal):
    patches, where = complex_normal(3, 4, 4), np.full((3, 2), 5.25)
    canvas = np.ones((12, 12), dtype=np.complex128)
    result = merge_patches(patches, where, (12, 12), onto=canvas, interpolation="fourier")
    expected = 1 + merge_patches(patches, where, (12, 12), interpolation="fourier")
    np.testing.assert_allclose(canvas, expected, rtol=1e-12)
    assert np.shares_memory(result, canvas)


def test_a_real_canvas_stays_real_and_single_precision_stays_single():
    canvas = np.ones((20, 20), dtype=np.float32)
    patch = extract_patches(canvas, np.array([9.3, 9.6]), 8, interpolation="fourier")
    assert patch.dtype == np.float32
    np.testing.assert_allclose(patch, 1, rtol=1e-5)


def test_gradients_match_finite_differences(complex_normal, torch):
    canvas = torch.from_numpy(complex_normal(6, 6)).requires_grad_()
    patches = torch.from_numpy(complex_normal(2, 3, 3)).requires_grad_()
    where = torch.tensor([[2.3, 2.6], [3.2, 1.7]], dtype=torch.float64, requires_grad=True)
    more = {"interpolation": "fourier"}
    assert torch.autograd.gradcheck(lambda c, p: extract_patches(c, p, 3, **more), (canvas, where))
    assert torch.autograd.gradcheck(
        lambda v, p: merge_patches(v, p, (6, 6), **more), (patches, where)
    )


def test_a_patch_outside_the_canvas_is_refused():
    with pytest.raises(InvalidValueError) as caught:
        extract_patches(np.ones((10, 10)), np.array([3.9, 5.0]), 8, interpolation="fourier")
    assert caught.value.name == "positions"


def test_another_interpolation_is_refused():
    where = np.array([5.0, 5.0])
    with pytest.raises(InvalidValueError) as caught:
        extract_patches(np.ones((10, 10)), where, 4, interpolation="cubic")
    assert caught.value.name == "interpolation"
    with pytest.raises(InvalidValueError) as caught:
        merge_patches(np.ones((4, 4)), where, (10, 10), interpolation="cubic")
    assert caught.value.name == "interpolation"
