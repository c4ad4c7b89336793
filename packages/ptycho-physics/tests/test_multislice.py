import math

import numpy as np
import pytest
from ptycho_config.errors import InvalidValueError
from ptycho_physics import (
    MultiSlice,
    NearField,
    Slices,
    angular_spectrum_propagate,
    propagated_gradient,
    propagated_intensity,
)
from ptycho_physics.solver._propagator import FarField

N, L = 8, 3
PHOTONS = 900.0
LENGTHS = {"wavelength": 0.3, "pixel_size": 1.0}
SLICES = Slices(number=L, thickness=4.0, tilt=(0.1, -0.05), **LENGTHS)


def optics(kind, like, xp=np):
    """The optics of each kind, and how many slices it has."""
    near = NearField.of(0.5, N, like, xp)
    return {
        "near field": (near, 0),
        "slices": (MultiSlice(SLICES.step(N, like, xp), FarField()), L),
        "slices, near field": (MultiSlice(SLICES.step(N, like, xp), near), L),
    }[kind]


KINDS = ["near field", "slices", "slices, near field"]


@pytest.fixture
def case(complex_normal, rng):
    mask = np.zeros((N, N), bool)
    mask[1, 5] = True
    return {
        "probe": complex_normal(2, N, N) / 8,
        "counts": rng.poisson(14, size=(4, N, N)).astype(float),
        "mask": mask,
    }


def patches_for(levels, complex_normal):
    return complex_normal(4, levels, N, N) if levels else complex_normal(4, N, N)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("deviance", [False, True])
def test_gradients_are_those_of_finite_differences(case, complex_normal, kind, deviance):
    model, levels = optics(kind, case["probe"])
    patches = patches_for(levels, complex_normal)

    def gradient(patches, probe):
        return propagated_gradient(
            patches,
            probe,
            case["counts"],
            PHOTONS,
            model,
            case["mask"],
            background=0.2,
            deviance=deviance,
            update_probe=True,
        )

    here = gradient(patches, case["probe"])
    h = 1e-6
    for values, found in ((patches, here.object), (case["probe"], here.probe)):
        direction = complex_normal(*values.shape)
        both = []
        for sign in (1, -1):
            moved = values + sign * h * direction
            at = (moved, case["probe"]) if values is patches else (patches, moved)
            both.append(gradient(*at).loss.sum())
        expected = (both[0] - both[1]) / (2 * h)
        assert np.real(np.vdot(found, direction)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_those_of_autograd(torch, case, complex_normal, kind):
    from array_api_compat import torch as xp

    probe = torch.tensor(case["probe"], requires_grad=True)
    model, levels = optics(kind, probe.detach(), xp)
    patches = torch.tensor(patches_for(levels, complex_normal), requires_grad=True)
    counts, mask = torch.tensor(case["counts"]), torch.tensor(case["mask"])
    rate = propagated_intensity(patches, probe, model) * PHOTONS
    loss = torch.where(mask, 0.0, rate - counts * torch.log(rate))
    loss.sum().backward()
    found = propagated_gradient(
        patches.detach(), probe.detach(), counts, PHOTONS, model, mask, update_probe=True
    )
    torch.testing.assert_close(found.loss, loss.sum((-2, -1)).detach(), rtol=1e-6, atol=1e-4)
    for mine, theirs in ((found.object, patches.grad), (found.probe, probe.grad)):
        assert torch.linalg.norm(mine - theirs) < 1e-6 * torch.linalg.norm(theirs)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [8, 7])
def test_is_the_product_of_plain_steps(library, complex_normal, kind, size):
    probe, patches = complex_normal(2, size, size), complex_normal(3, L, size, size)
    waves = np.broadcast_to(probe, (3, 2, size, size))
    near = kind != "slices"
    levels = range(L) if "slices" in kind else range(1)
    straight = Slices(number=L, thickness=4.0, **LENGTHS)
    for level in levels:
        waves = waves * patches[:, level, None]
        if level < len(levels) - 1:
            waves = angular_spectrum_propagate(waves, 4.0, **LENGTHS)
    expected = np.abs(
        np.fft.ifft2(np.fft.fft2(waves) * fresnel(size, 0.5))
        if near
        else np.fft.fftshift(np.fft.fft2(waves, norm="ortho"), axes=(-2, -1))
    )
    p, o = library.array(probe), library.array(patches)
    xp = library.xp
    detector = NearField.of(0.5, size, p, xp) if near else FarField()
    if len(levels) > 1:
        detector = MultiSlice(straight.step(size, p, xp), detector)
    else:
        o = o[:, 0, ...]
    found = library.numpy(propagated_intensity(o, p, detector, xp=xp))
    np.testing.assert_allclose(found, (expected**2).sum(1), rtol=1e-9, atol=1e-9)


def fresnel(size, number):
    u = np.fft.fftfreq(size)
    return np.exp(-1j * np.pi * (u**2 + u[:, None] ** 2) / number)


def test_a_tilted_beam_moves_from_slice_to_slice():
    size, thickness = 32, 20.0
    tilt = (math.atan(3 / thickness), math.atan(-2 / thickness))
    slices = Slices(number=2, thickness=thickness, wavelength=1e-3, pixel_size=1.0, tilt=tilt)
    x = np.arange(size) - 16
    beam = np.exp(-(x**2 + x[:, None] ** 2) / 8.0).astype(complex)
    moved = np.abs(slices.step(size, beam, np, shifted=False).forward(beam))
    row, column = np.unravel_index(moved.argmax(), moved.shape)
    assert (column - 16, row - 16) == (3, -2)


def test_depth_of_focus_is_wavelength_over_squared_aperture():
    slices = Slices(number=2, thickness=1.0, wavelength=0.1, pixel_size=2.0)
    aperture = 0.1 / (2 * 2.0)
    assert slices.depth_of_focus == pytest.approx(0.1 / aperture**2)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("slices", {"number": 0}),
        ("slices", {"number": 2.0}),
        ("thickness", {"thickness": -1.0}),
        ("wavelength", {"wavelength": math.nan}),
        ("tilt", {"tilt": (0.0, 1.0)}),
    ],
)
def test_refuses_values_out_of_range(name, change):
    good = {"number": 2, "thickness": 1.0, "wavelength": 0.1, "pixel_size": 1.0}
    with pytest.raises(InvalidValueError) as caught:
        Slices(**good | change)
    assert caught.value.name == name


def test_refuses_slices_whose_light_leaves_the_patch():
    slices = Slices(number=2, thickness=100.0, wavelength=0.1, pixel_size=1.0)
    with pytest.raises(InvalidValueError) as caught:
        slices.step(8, np.ones(1, complex), np)
    assert caught.value.name == "thickness"
