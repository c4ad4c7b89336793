"""Every linear operation has its adjoint: ``<b, A a> = <A* b, a>`` for any ``a`` and ``b``."""

import numpy as np
import pytest
from ptycho_physics import (
    angular_spectrum_propagate,
    back_propagate,
    extract_patches,
    fresnel_propagate,
    illuminate,
    merge_patches,
    propagate,
)
from ptycho_physics._translation import translate

N, CANVAS = 7, (19, 18)
POSITIONS = np.array([[4.2, 5.9], [8.0, 7.5], [12.7, 13.1], [5.5, 9.25]])
SHIFTS = np.array([[0.3, -1.6], [2.0, 0.5], [-0.75, 0.0], [0.0, 0.1]])
PROBE = np.exp(1j * np.arange(2 * N * N).reshape(2, N, N) ** 1.5)
IMAGES = (4, N, N)


def sum_of_modes(waves, *, library):
    """Adjoint of `illuminate`."""
    xp = library.xp
    return xp.sum(xp.conj(library.array(PROBE)) * waves, axis=-3)


def interpolated(kind):
    cut = {"interpolation": kind}
    return (
        (
            f"extract and merge, {kind}",
            lambda x, lib: extract_patches(x, lib.array(POSITIONS), N, **cut, xp=lib.xp),
            lambda y, lib: merge_patches(y, lib.array(POSITIONS), CANVAS, **cut, xp=lib.xp),
            CANVAS,
        ),
        (
            f"translate and back, {kind}",
            lambda x, lib: translate(x, lib.array(SHIFTS), **cut, xp=lib.xp),
            lambda y, lib: translate(y, lib.array(-SHIFTS), **cut, xp=lib.xp),
            IMAGES,
        ),
    )


def carried(propagator, distance, pixel=1.0):
    lengths = {"wavelength": 0.5, "pixel_size": pixel}
    return lambda x, lib: propagator(x, distance, **lengths, xp=lib.xp)


def plain(function, *more):
    return lambda x, lib: function(x, *more, xp=lib.xp)


OPERATORS = [
    ("far field", plain(propagate), plain(back_propagate), IMAGES),
    (
        "illuminate",
        lambda x, lib: illuminate(lib.array(PROBE), x, xp=lib.xp),
        lambda y, lib: sum_of_modes(y, library=lib),
        IMAGES,
    ),
    ("Fresnel", carried(fresnel_propagate, 5), carried(fresnel_propagate, -5), IMAGES),
    (
        "angular spectrum",
        carried(angular_spectrum_propagate, 5),
        carried(angular_spectrum_propagate, -5),
        IMAGES,
    ),
    (
        "evanescent waves",
        carried(angular_spectrum_propagate, 5, 0.2),
        carried(angular_spectrum_propagate, -5, 0.2),
        IMAGES,
    ),
    *interpolated("bilinear"),
    *interpolated("fourier"),
]


@pytest.mark.parametrize(
    ("forward", "backward", "shape"),
    [operator[1:] for operator in OPERATORS],
    ids=[operator[0] for operator in OPERATORS],
)
def test_backward_is_the_adjoint_of_forward(library, complex_normal, forward, backward, shape):
    a = complex_normal(*shape)
    there = library.numpy(forward(library.array(a), library))
    b = complex_normal(*there.shape)
    back = library.numpy(backward(library.array(b), library))
    assert back.shape == a.shape
    scale = np.linalg.norm(a) * np.linalg.norm(b)
    assert abs(np.vdot(b, there) - np.vdot(back, a)) < 1e-13 * scale
    assert abs(np.vdot(b, there)) > 1e-6 * scale
