import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ptycho_config.errors import InvalidValueError
from ptycho_physics._translation import translate

METHODS = ["bilinear", "fourier"]


def gaussian(shape, x0, y0, sigma=1.5):
    y, x = np.indices(shape)
    return np.exp(-((x - x0) ** 2 + (y - y0) ** 2) / (2 * sigma**2))


def series(image, dx, dy):
    """The trigonometric interpolation written out as a sum over all frequencies."""
    moved = np.zeros(image.shape, dtype=complex)
    H, W = image.shape
    spectrum = np.fft.fft2(image) / image.size
    y, x = np.indices(image.shape)
    for row, v in enumerate(np.fft.fftfreq(H)):
        for column, u in enumerate(np.fft.fftfreq(W)):
            waves = [
                np.mean(
                    [np.exp(2j * np.pi * s * (at - d)) for s in {f, f if abs(f) < 0.5 else -f}], 0
                )
                for f, at, d in ((v, y, dy), (u, x, dx))
            ]
            moved += spectrum[row, column] * waves[0] * waves[1]
    return moved


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", [(10, 12), (11, 9)])
def test_whole_pixels_move_to_where_they_are_told(any_library, method, shape):
    image = np.zeros((2, *shape))
    image[:, 4, 5] = 1
    shifts = np.array([[2.0, -1.0], [0.0, 3.0]])  # (dx, dy)
    moved = translate(
        any_library.array(image), any_library.array(shifts), interpolation=method, xp=any_library.xp
    )
    expected = np.zeros_like(image)
    expected[0, 3, 7] = expected[1, 7, 5] = 1
    np.testing.assert_allclose(any_library.numpy(moved), expected, atol=1e-12)


@pytest.mark.parametrize("n", [8, 9])
def test_half_a_pixel_is_shared_by_two(n):
    image = np.zeros((n, n))
    image[4, 4] = 1
    moved = translate(image, np.array([0.5, 0.0]))
    assert moved[4, 4] == moved[4, 5] == 0.5
    assert moved.sum() == 1
    smooth = translate(image, np.array([0.5, 0.0]), interpolation="fourier")
    np.testing.assert_allclose(smooth[4, 4], smooth[4, 5])
    np.testing.assert_allclose(smooth.sum(), 1)
    assert smooth[4].argmax() in (4, 5)


@pytest.mark.parametrize("shape", [(24, 24), (25, 23), (24, 27)])
def test_fourier_moves_a_smooth_spot_exactly(shape):
    image = gaussian(shape, 11, 12)
    moved = translate(image, np.array([0.37, -1.61]), interpolation="fourier")
    np.testing.assert_allclose(moved, gaussian(shape, 11.37, 10.39), atol=2e-5)


@pytest.mark.parametrize("shape", [(6, 7), (5, 8)])
def test_fourier_is_the_trigonometric_series(shape, complex_normal):
    image = complex_normal(*shape)
    moved = translate(image, np.array([0.3, -0.7]), interpolation="fourier")
    np.testing.assert_allclose(moved, series(image, 0.3, -0.7), atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n", [8, 9])
def test_a_complex_image_moves_as_its_parts_do(complex_normal, method, n):
    image, shift = complex_normal(n, n), np.array([0.4, 1.3])
    moved = translate(image, shift, interpolation=method)
    real, imag = (translate(part, shift, interpolation=method) for part in (image.real, image.imag))
    assert real.dtype == np.float64
    np.testing.assert_allclose(moved, real + 1j * imag, atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
@given(dx=st.floats(-3, 3), dy=st.floats(-3, 3), n=st.sampled_from([7, 8]))
def test_moving_back_is_the_adjoint(method, dx, dy, n):
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(2, n, n)) + 1j * rng.normal(size=(2, n, n))
    shift = np.array([dx, dy])
    there = np.vdot(b, translate(a, shift, interpolation=method))
    back = np.vdot(translate(b, -shift, interpolation=method), a)
    np.testing.assert_allclose(there, back, atol=1e-10)


def test_fourier_odd_sizes_conserve_power_and_come_back(complex_normal):
    image, shift = complex_normal(9, 11), np.array([0.3, 2.6])
    moved = translate(image, shift, interpolation="fourier")
    np.testing.assert_allclose(np.linalg.norm(moved), np.linalg.norm(image))
    back = translate(moved, -shift, interpolation="fourier")
    np.testing.assert_allclose(back, image, atol=1e-12)


def test_bilinear_lets_nothing_in_from_outside():
    moved = translate(np.ones((4, 4)), np.array([1.5, 0.0]))
    np.testing.assert_array_equal(moved[0], [0, 0.5, 1, 1])


@pytest.mark.parametrize("method", METHODS)
def test_keeps_the_precision_of_the_image(any_library, method, complex_normal):
    images = any_library.array(complex_normal(2, 6, 6, dtype=np.complex64))
    shifts = any_library.array(np.array([0.25, 0.5]))
    moved = translate(images, shifts, interpolation=method, xp=any_library.xp)
    assert any_library.numpy(moved).dtype == np.complex64


@pytest.mark.parametrize("method", METHODS)
def test_gradients_match_finite_differences(complex_normal, torch, method):
    images = torch.from_numpy(complex_normal(2, 4, 5)).requires_grad_()
    shifts = torch.tensor([[0.3, -0.6], [1.2, 0.7]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda i, s: translate(i, s, interpolation=method), (images, shifts)
    )


def test_another_interpolation_is_refused():
    with pytest.raises(InvalidValueError) as caught:
        translate(np.ones((4, 4)), np.zeros(2), interpolation="cubic")
    assert caught.value.name == "interpolation"
