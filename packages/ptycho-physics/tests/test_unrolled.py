"""The physics steps of the network `unrolled`, in every library."""

import numpy as np
import pytest
from ptycho_physics import (
    defocused_probe,
    expected_counts,
    extract_patches,
    normalise_probe,
    probe_intensity,
    random_cells,
    unrolled,
)

N = 32


class SinglePatterns:
    """Canvases of groups of one pattern, which agrees with itself."""

    def __init__(self, xp):
        self.xp = xp

    def agree(self, patches, _):
        return patches

    def precondition(self, gradient, light, relaxation):
        denominator = (1 - relaxation) * light + relaxation * self.xp.max(light)
        return gradient / self.xp.astype(denominator, gradient.dtype)


@pytest.fixture(scope="module")
def problem():
    """True patches, a probe and their noise-free patterns as the network receives them."""
    truth = random_cells((64, 64), radius=(4, 9), seed=1)
    positions = np.array([[30.0, 31.0], [34.0, 29.0]])
    patches = extract_patches(truth, positions, N)[:, None].astype(np.complex64)
    probe = normalise_probe(defocused_probe(N).reshape(-1, N, N)).astype(np.complex64)
    x = np.sqrt(expected_counts(patches, probe, 1.0)).astype(np.float32) * (N / 2)
    return patches, probe, x, np.zeros((N, N), bool)


def misfit(patches, probe, x):
    predicted = np.sqrt(expected_counts(patches, probe, 1.0)) * (N / 2)
    return np.abs(predicted - x).sum() / x.sum()


def test_the_true_object_has_no_residual(any_library, problem):
    truth, probe, x, bad = (any_library.array(part) for part in problem)
    amplitude, good = unrolled.detector_arrays(x, bad)
    residual = any_library.numpy(unrolled.modulus_residual(truth, amplitude, good, probe))
    flat = any_library.xp.ones_like(truth)
    other = any_library.numpy(unrolled.modulus_residual(flat, amplitude, good, probe))
    # what is left is the regularisation, SMALLEST_MODULUS
    assert np.abs(residual).max() < 1e-2 * np.abs(other).max()


def test_bad_pixels_have_no_residual(problem):
    truth, probe, x, bad = problem
    measured = unrolled.detector_arrays(x, bad)
    everywhere = unrolled.detector_arrays(2 * x, ~bad)
    assert np.abs(unrolled.modulus_residual(truth, *everywhere, probe)).max() == 0
    assert np.abs(unrolled.modulus_residual(0.5 * truth, *measured, probe)).max() > 0


def test_the_strongest_mode_has_its_maximum_at_one_and_a_fixed_phase(any_library, problem):
    _, probe, _, _ = problem
    modes = np.concatenate([0.3 * np.roll(probe, 5, axis=-1), probe])
    turned = modes * np.complex64(np.exp(1.3j))
    mode, same = (
        any_library.numpy(unrolled.strongest_mode(any_library.array(part)))
        for part in (modes, turned)
    )
    np.testing.assert_allclose(same, mode, atol=1e-5)
    np.testing.assert_allclose(np.abs(mode), np.abs(probe[0]) / np.abs(probe).max(), atol=1e-5)
    assert np.abs(np.angle(np.sum(mode * np.abs(mode)))) < 1e-4


def test_phase_differences_are_those_of_the_neighbours():
    phase = 0.1 * np.arange(N) + 0.02 * np.arange(N)[:, None]
    factor = np.exp(1j * phase)
    right, below = (unrolled.phase_difference(factor, axis) for axis in (-1, -2))
    np.testing.assert_allclose(right[:, 1:-1], np.sin(0.2))
    np.testing.assert_allclose(below[1:-1], np.sin(0.04))


def test_stages_with_the_low_resolution_estimate_explain_the_patterns(any_library, problem):
    _, probe, x, bad = (any_library.array(part) for part in problem)
    xp, canvases = any_library.xp, SinglePatterns(any_library.xp)
    amplitude, good = unrolled.detector_arrays(x, bad)
    measured = (amplitude, good, probe, 1e6)
    estimate = unrolled.low_resolution_estimate(*measured, canvases)
    shapes = []

    def no_correction(planes):
        shapes.append([plane.shape for plane in planes])
        return xp.zeros_like(estimate)

    mode = xp.broadcast_to(unrolled.strongest_mode(probe), x.shape)
    patches = unrolled.run_stages(
        [no_correction] * 3, *measured, canvases, mode=mode, estimate=estimate
    )
    assert shapes == [[x.shape] * unrolled.PLANES] * 3
    _, probe, x, _ = problem
    flat = misfit(np.ones_like(problem[0]), probe, x)
    assert misfit(any_library.numpy(estimate), probe, x) < 0.75 * flat
    assert misfit(any_library.numpy(patches), probe, x) < 0.5 * flat


def test_patches_are_joined_between_the_stages_only(problem):
    _, probe, x, bad = problem
    measured = (*unrolled.detector_arrays(x, bad), probe, np.inf)
    joined = []

    def join(patches, weight):
        joined.append(weight.shape)
        return patches

    unrolled.run_stages(
        [lambda planes: 0 * planes[0]] * 3,
        *measured,
        SinglePatterns(np),
        mode=np.broadcast_to(probe[0], x.shape),
        estimate=np.ones_like(problem[0]),
        join=join,
    )
    assert joined == [probe_intensity(probe).shape] * 2
