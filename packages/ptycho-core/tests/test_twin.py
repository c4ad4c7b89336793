import numpy as np
import pytest
from ptycho_core.analysis.twin import beam_at_sample, wavefront_curvature
from ptycho_physics import apply_symmetry, fresnel_propagate, gaussian_probe

PIXEL, WAVELENGTH = 50e-9, 1.4e-10


def propagated(distance):
    probe = gaussian_probe(64, 6)
    return fresnel_propagate(probe, distance, wavelength=WAVELENGTH, pixel_size=PIXEL)


@pytest.mark.parametrize(("distance", "beam"), [(2e-3, "diverges"), (0, ""), (-2e-3, "converges")])
def test_a_beam_diverges_behind_its_focus(distance, beam):
    probe = propagated(distance)
    assert beam_at_sample(probe) == beam
    twin = apply_symmetry(probe, 3).conj()
    assert wavefront_curvature(twin)[0] == pytest.approx(-wavefront_curvature(probe)[0], abs=1e-9)


def test_the_curvature_of_a_known_phase():
    y, x = np.mgrid[:64, :64] - 32.0
    modes = gaussian_probe(64, 20) * np.array([1, 0.5])[:, None, None]
    curved = modes * np.exp(0.5j * 0.01 * (x**2 + y**2) + 0.3j * x + 1j)
    curvature, radius = wavefront_curvature(curved)
    assert curvature == pytest.approx(0.01, rel=0.06)  # the sine of a step stands for the step
    assert radius == pytest.approx(wavefront_curvature(modes)[1])
