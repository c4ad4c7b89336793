import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ptycho_config.errors import InvalidValueError
from ptycho_physics import extract_patches, merge_patches

SHAPES = [(20, 23), (21, 22)]


def reference_patch(canvas, x, y, N):
    """Bilinear patch written out pixel by pixel from the convention."""
    patch = np.zeros((N, N), dtype=canvas.dtype)
    for i in range(N):
        for j in range(N):
            row, column = y - N // 2 + i, x - N // 2 + j
            r, c = int(np.floor(row)), int(np.floor(column))
            for dr, wr in ((0, 1 - (row - r)), (1, row - r)):
                for dc, wc in ((0, 1 - (column - c)), (1, column - c)):
                    if wr * wc:
                        patch[i, j] += wr * wc * canvas[r + dr, c + dc]
    return patch


@pytest.mark.parametrize("N", [6, 7])
@pytest.mark.parametrize("shape", SHAPES)
def test_integer_position_is_a_plain_cut_out(library, complex_normal, N, shape):
    canvas = complex_normal(*shape)
    x, y = 11, 9
    patch = library.numpy(
        extract_patches(library.array(canvas), library.array(np.array([float(x), float(y)])), N)
    )
    np.testing.assert_array_equal(
        patch, canvas[y - N // 2 : y - N // 2 + N, x - N // 2 : x - N // 2 + N]
    )


@pytest.mark.parametrize("N", [6, 7])
@pytest.mark.parametrize("shape", SHAPES)
def test_bright_canvas_pixel_is_seen_at_the_patch_centre(library, N, shape):
    canvas = np.zeros(shape, dtype=np.float64)
    canvas[9, 11] = 1
    where = library.array(np.array([[11.0, 9.0], [12.0, 9.0], [11.0, 8.0]]))
    patches = library.numpy(extract_patches(library.array(canvas), where, N))
    h = N // 2
    assert patches[0, h, h] == 1  # the position is the pixel
    assert patches[1, h, h - 1] == 1  # the patch moved right, the pixel moved left in it
    assert patches[2, h + 1, h] == 1  # the patch moved up, the pixel moved down in it
    assert patches.sum() == 3


@pytest.mark.parametrize("N", [6, 7])
@pytest.mark.parametrize("shape", SHAPES)
def test_bright_patch_pixel_lands_on_its_position(library, N, shape):
    patch = np.zeros((1, N, N))
    patch[0, N // 2, N // 2] = 1
    canvas = library.numpy(
        merge_patches(library.array(patch), library.array(np.array([[11.25, 9.5]])), shape)
    )
    expected = np.zeros(shape)
    expected[9:11, 11:13] = [[0.375, 0.125], [0.375, 0.125]]
    np.testing.assert_allclose(canvas, expected, atol=1e-12)


def test_half_way_between_two_pixels_is_their_mean(library):
    canvas = np.arange(100.0).reshape(10, 10)
    where = library.array(np.array([[4.5, 5.0], [4.0, 5.5]]))
    patches = library.numpy(extract_patches(library.array(canvas), where, 4))
    assert patches[0, 2, 2] == (canvas[5, 4] + canvas[5, 5]) / 2
    assert patches[1, 2, 2] == (canvas[5, 4] + canvas[6, 4]) / 2


@given(
    x=st.floats(4, 12, allow_nan=False),
    y=st.floats(4, 10, allow_nan=False),
    N=st.sampled_from([6, 7]),
)
def test_extract_follows_the_convention_at_any_position(x, y, N):
    rng = np.random.default_rng(1)
    canvas = rng.normal(size=(16, 18)) + 1j * rng.normal(size=(16, 18))
    found = extract_patches(canvas, np.array([x, y]), N)
    np.testing.assert_allclose(found, reference_patch(canvas, x, y, N), atol=1e-12)


@pytest.mark.parametrize("N", [6, 7])
def test_merge_is_the_exact_adjoint_of_extract(library, complex_normal, rng, precision, N):
    dtype, rtol = precision
    shape = (20, 23)
    canvas, patches = complex_normal(*shape, dtype=dtype), complex_normal(2, 5, N, N, dtype=dtype)
    where = library.array(rng.uniform([N, N], [22 - N, 19 - N], size=(2, 5, 2)))
    cut = library.numpy(extract_patches(library.array(canvas), where, N))
    merged = library.numpy(merge_patches(library.array(patches), where, shape))
    assert cut.dtype == merged.dtype == dtype
    np.testing.assert_allclose(np.vdot(patches, cut), np.vdot(merged, canvas), rtol=10 * rtol)


def test_merging_conserves_the_sum(library, complex_normal, rng):
    patches = complex_normal(30, 6, 6)
    where = library.array(rng.uniform(4, 15, size=(30, 2)))
    total = library.numpy(merge_patches(library.array(patches), where, (20, 20))).sum()
    np.testing.assert_allclose(total, patches.sum(), rtol=1e-10)


@pytest.mark.parametrize("dtype", [np.float32, np.complex64, np.complex128])
def test_patches_that_overlap_add_up_with_any_number_of_threads(torch, rng, complex_normal, dtype):
    before = torch.get_num_threads()
    patches = complex_normal(200, 64, 64)
    patches = patches if np.dtype(dtype).kind == "c" else patches.real
    where = rng.uniform(35, 40, size=(200, 2))
    expected = merge_patches(patches, where, (80, 90))
    try:
        torch.set_num_threads(4)
        tensor = torch.from_numpy(patches.astype(dtype))
        merged = merge_patches(tensor, torch.from_numpy(where), (80, 90)).numpy()
    finally:
        torch.set_num_threads(before)
    atol = 200 * np.finfo(dtype).eps * np.abs(expected).max()
    np.testing.assert_allclose(merged, expected, atol=atol)


def test_merge_onto_adds_in_place(library, complex_normal):
    patches, where = library.array(complex_normal(3, 4, 4)), library.array(np.full((3, 2), 5.25))
    canvas = library.array(np.ones((12, 12), dtype=np.complex128))
    result = merge_patches(patches, where, (12, 12), onto=canvas)
    expected = 1 + library.numpy(merge_patches(patches, where, (12, 12)))
    np.testing.assert_allclose(library.numpy(canvas), expected, rtol=1e-12)
    np.testing.assert_array_equal(library.numpy(result), library.numpy(canvas))


def test_a_patch_may_touch_every_edge_of_the_canvas(library, complex_normal):
    canvas = complex_normal(8, 8)
    patch = extract_patches(library.array(canvas), library.array(np.array([4.0, 4.0])), 8)
    np.testing.assert_array_equal(library.numpy(patch), canvas)
    back = merge_patches(patch, library.array(np.array([4.0, 4.0])), (8, 8))
    np.testing.assert_array_equal(library.numpy(back), canvas)


@pytest.mark.parametrize("where", [(3.9, 5.0), (5.0, 3.9), (6.1, 5.0), (5.0, 6.1), (np.nan, 5.0)])
def test_a_patch_outside_the_canvas_is_refused(library, where):
    canvas = library.array(np.ones((10, 10)))
    with pytest.raises(InvalidValueError) as caught:
        extract_patches(canvas, library.array(np.array(where)), 8)
    assert caught.value.name == "positions"


def test_float32_positions_and_float64_positions_agree(library, complex_normal):
    canvas = library.array(complex_normal(20, 20, dtype=np.complex64))
    where = np.array([[8.125, 9.75]])
    double = library.numpy(extract_patches(canvas, library.array(where), 6))
    single = library.numpy(extract_patches(canvas, library.array(where.astype(np.float32)), 6))
    assert double.dtype == single.dtype == np.complex64
    np.testing.assert_array_equal(double, single)


def test_gradients_match_finite_differences(complex_normal, torch):
    canvas = torch.from_numpy(complex_normal(9, 9)).requires_grad_()
    patches = torch.from_numpy(complex_normal(2, 4, 4)).requires_grad_()
    where = torch.tensor([[4.3, 4.6], [5.2, 3.7]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda c, p: extract_patches(c, p, 4), (canvas, where))
    assert torch.autograd.gradcheck(lambda v, p: merge_patches(v, p, (9, 9)), (patches, where))
