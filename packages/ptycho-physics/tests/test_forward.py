import numpy as np
import pytest
from ptycho_config.errors import InvalidValueError
from ptycho_physics import (
    back_propagate,
    expected_counts,
    illuminate,
    intensity,
    normalise_probe,
    probe_intensity,
    probe_weight,
    propagate,
)


def direct_transform(wave):
    """The shifted orthonormal DFT written out as sums, in double precision."""
    N = wave.shape[-1]
    k = np.arange(N) - N // 2
    kernel = np.exp(-2j * np.pi * np.outer(k, np.arange(N)) / N) / np.sqrt(N)
    return kernel @ wave @ kernel.T


@pytest.mark.parametrize("N", [7, 8])
def test_propagate_is_the_shifted_orthonormal_dft(library, complex_normal, precision, N):
    dtype, rtol = precision
    wave = complex_normal(3, N, N)
    found = library.numpy(propagate(library.array(wave.astype(dtype))))
    assert found.dtype == dtype
    np.testing.assert_allclose(found, [direct_transform(w) for w in wave], rtol=rtol, atol=rtol)


def test_flat_wave_lands_on_the_centre_pixel(library):
    field = library.numpy(propagate(library.array(np.ones((8, 8), dtype=np.complex64))))
    expected = np.zeros((8, 8))
    expected[4, 4] = 8
    np.testing.assert_allclose(field, expected, atol=1e-6)


def test_tilted_wave_moves_the_spot_to_positive_frequency(library):
    x = np.arange(16)
    wave = np.broadcast_to(np.exp(2j * np.pi * 3 * x / 16), (16, 16)).astype(np.complex64)
    field = np.abs(library.numpy(propagate(library.array(wave))))
    assert np.unravel_index(field.argmax(), field.shape) == (8, 8 + 3)


@pytest.mark.parametrize("N", [7, 8])
def test_back_propagate_inverts_and_conserves_power(library, complex_normal, precision, N):
    dtype, rtol = precision
    wave = complex_normal(2, N, N, dtype=dtype)
    field = propagate(library.array(wave))
    np.testing.assert_allclose(
        np.sum(np.abs(library.numpy(field)) ** 2), np.sum(np.abs(wave) ** 2), rtol=rtol
    )
    np.testing.assert_allclose(library.numpy(back_propagate(field)), wave, rtol=rtol, atol=rtol)


def test_back_propagate_is_the_adjoint(library, complex_normal):
    a, b = complex_normal(9, 9), complex_normal(9, 9)
    left = np.vdot(b, library.numpy(propagate(library.array(a))))
    right = np.vdot(library.numpy(back_propagate(library.array(b))), a)
    np.testing.assert_allclose(left, right, rtol=1e-10)


def test_modes_add_up_incoherently(library, complex_normal, precision):
    dtype, rtol = precision
    probe, patches = complex_normal(3, 8, 8), complex_normal(5, 8, 8)
    expected = sum(np.abs(np.array([direct_transform(m * p) for p in patches])) ** 2 for m in probe)
    found = intensity(library.array(patches.astype(dtype)), library.array(probe.astype(dtype)))
    np.testing.assert_allclose(library.numpy(found), expected, rtol=rtol, atol=rtol)


def test_a_pattern_does_not_depend_on_batch_group_or_the_number_of_modes(library, complex_normal):
    probe = complex_normal(1, 8, 8)
    patches = complex_normal(4, 3, 8, 8)
    together = library.numpy(expected_counts(library.array(patches), library.array(probe), 7.0))
    assert together.shape == (4, 3, 8, 8)
    alone = library.numpy(expected_counts(library.array(patches[2, 1]), library.array(probe), 7.0))
    np.testing.assert_allclose(together[2, 1], alone, rtol=1e-12)
    split = np.concatenate([probe, probe]) / np.sqrt(2)  # the same light in two equal modes
    twice = library.numpy(expected_counts(library.array(patches), library.array(split), 7.0))
    np.testing.assert_allclose(twice, together, rtol=1e-12)


def test_unit_object_behind_unit_probe_gives_the_stated_photons(library, complex_normal):
    probe = normalise_probe(library.array(complex_normal(2, 16, 16)))
    flat = library.array(np.ones((16, 16), dtype=np.complex128))
    total = library.numpy(expected_counts(flat, probe, 1e6)).sum()
    np.testing.assert_allclose(total, 1e6, rtol=1e-10)


def test_scaling_probe_power_does_not_change_the_counts(library, complex_normal):
    probe, patch = complex_normal(1, 8, 8), library.array(complex_normal(8, 8))
    a, b = (
        expected_counts(patch, normalise_probe(library.array(p)), 1e4) for p in (probe, 1e3 * probe)
    )
    np.testing.assert_allclose(library.numpy(a), library.numpy(b), rtol=1e-10)


def test_object_shift_is_a_phase_ramp_that_leaves_a_flat_probe_pattern(library, complex_normal):
    patch, flat = complex_normal(8, 8), np.ones((1, 8, 8), dtype=np.complex128)
    moved = np.roll(patch, (2, -3), axis=(0, 1))
    patterns = [
        library.numpy(intensity(library.array(p), library.array(flat))) for p in (patch, moved)
    ]
    np.testing.assert_allclose(*patterns, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("N", [7, 8])
def test_a_shifted_wave_has_a_phase_ramp_in_the_far_field(library, complex_normal, N):
    wave = complex_normal(N, N)
    still, moved = (
        library.numpy(propagate(library.array(w))) for w in (wave, np.roll(wave, (2, -3), (0, 1)))
    )
    k = np.arange(N) - N // 2
    ramp = np.exp(-2j * np.pi * (2 * k[:, None] - 3 * k) / N)
    np.testing.assert_allclose(moved, still * ramp, atol=1e-12)


def test_gaussian_probe_on_empty_object_has_a_gaussian_pattern(library):
    N, sigma = 64, 4.0
    x = np.arange(N) - N // 2
    probe = np.exp(-(x**2 + x[:, None] ** 2) / (2 * sigma**2)).astype(np.complex128)
    ones = library.array(np.ones((N, N), dtype=np.complex128))
    found = library.numpy(intensity(ones, library.array(probe[None])))
    q = x / N
    expected = (2 * np.pi * sigma**2 / N) ** 2 * np.exp(
        -((2 * np.pi * sigma) ** 2) * (q**2 + q[:, None] ** 2)
    )
    np.testing.assert_allclose(found, expected, atol=1e-9 * expected.max())


def test_illuminate_puts_modes_before_the_image(library, complex_normal):
    probe, patches = complex_normal(3, 4, 4), complex_normal(2, 5, 4, 4)
    waves = library.numpy(illuminate(library.array(probe), library.array(patches)))
    assert waves.shape == (2, 5, 3, 4, 4)
    np.testing.assert_allclose(waves[1, 4, 2], probe[2] * patches[1, 4])


def test_probe_weight_is_relative_light_plus_floor(library, complex_normal):
    probe = library.array(complex_normal(2, 8, 8))
    light = library.numpy(probe_intensity(probe))
    np.testing.assert_allclose(
        library.numpy(probe_weight(probe, 0.01)), light / light.max() + 0.01, rtol=1e-12
    )


def test_a_dark_probe_is_refused(library):
    with pytest.raises(InvalidValueError) as caught:
        normalise_probe(library.array(np.zeros((1, 4, 4), dtype=np.complex64)))
    assert caught.value.name == "probe"


@pytest.mark.parametrize("value", [1.0, 0.0])
def test_gradient_is_finite_also_where_the_field_is_zero(complex_normal, value, torch):
    patch = torch.full((8, 8), value, dtype=torch.complex128, requires_grad=True)
    intensity(patch, torch.from_numpy(complex_normal(1, 8, 8))).sum().backward()
    assert torch.isfinite(torch.view_as_real(patch.grad)).all()


def test_gradient_matches_finite_differences(complex_normal, torch):
    probe = torch.from_numpy(complex_normal(2, 4, 4))
    patch = torch.from_numpy(complex_normal(3, 4, 4)).requires_grad_()
    assert torch.autograd.gradcheck(lambda p: expected_counts(p, probe, 3.0), (patch,))
