import math

import numpy as np
import pytest
from ptycho_config.errors import InvalidValueError
from ptycho_physics._forward import intensity
from ptycho_physics._modes import orthogonal_modes, orthogonalise_modes
from ptycho_physics.probes import defocused_probe, gaussian_probe


def gram(modes):
    flat = modes.reshape(len(modes), -1).astype(complex)
    return flat.conj() @ flat.T


def test_modes_are_orthogonal_with_the_powers_asked_for():
    modes = orthogonal_modes(defocused_probe(32), 5, decay=0.4)
    assert modes.shape == (5, 32, 32)
    assert modes.dtype == np.complex64
    powers = 0.4 ** np.arange(5)
    np.testing.assert_allclose(gram(modes), np.diag(powers / powers.sum()), atol=1e-6)


def test_the_first_mode_is_the_probe():
    probe = defocused_probe(32)
    modes = orthogonal_modes(probe, 3)
    power = np.sum(np.abs(modes[0]) ** 2)
    np.testing.assert_allclose(modes[0] / math.sqrt(power), probe[0], atol=1e-6)


def test_a_gaussian_gives_hermite_gaussian_modes():
    probe = gaussian_probe(64, 16)[0]
    mode = orthogonal_modes(probe, 2, decay=1.0)[1]
    x = np.arange(64) - 32
    expected = probe * x
    expected = expected / np.linalg.norm(expected) * np.linalg.norm(mode)
    np.testing.assert_allclose(mode, expected, atol=1e-6)


def test_orthogonalising_undoes_a_unitary_mixture():
    modes = orthogonal_modes(defocused_probe(32), 3)
    generator = np.random.default_rng(0)
    unitary = np.linalg.qr(generator.normal(size=(3, 3)) + 1j * generator.normal(size=(3, 3)))[0]
    mixed = np.tensordot(unitary, modes, axes=1)
    again = orthogonalise_modes(mixed)
    np.testing.assert_allclose(np.abs(again), np.abs(modes), atol=1e-5)


def test_orthogonalising_changes_no_pattern():
    generator = np.random.default_rng(1)
    probe, patches = (
        generator.normal(size=(n, 16, 16)) + 1j * generator.normal(size=(n, 16, 16)) for n in (3, 2)
    )
    again = orthogonalise_modes(probe)
    np.testing.assert_allclose(
        intensity(patches, again.astype(complex)), intensity(patches, probe), rtol=1e-5
    )
    off = gram(again) - np.diag(np.diagonal(gram(again)))
    assert np.max(np.abs(off)) < 1e-4
    assert np.all(np.diff(np.diagonal(gram(again)).real) < 0)


def test_orthogonalising_orthogonal_modes_changes_nothing():
    modes = orthogonal_modes(defocused_probe(32), 3)
    np.testing.assert_allclose(orthogonalise_modes(modes), modes, atol=1e-5)


def test_a_single_pixel_cannot_carry_two_modes():
    probe = np.zeros((16, 16), complex)
    probe[8, 8] = 1
    with pytest.raises(InvalidValueError) as caught:
        orthogonal_modes(probe, 2)
    assert caught.value.name == "count"
    assert "lit pixels" in caught.value.rule


@pytest.mark.parametrize(
    ("arguments", "options", "name"),
    [
        ((np.ones((2, 8, 8), complex), 2), {}, "probe"),
        ((np.ones((8, 8), complex), 0), {}, "count"),
        ((np.ones((8, 8), complex), 2), {"decay": 0.0}, "decay"),
    ],
)
def test_bad_arguments_are_named(arguments, options, name):
    with pytest.raises(InvalidValueError) as caught:
        orthogonal_modes(*arguments, **options)
    assert caught.value.name == name


def test_orthogonalising_needs_modes():
    with pytest.raises(InvalidValueError) as caught:
        orthogonalise_modes(np.ones((8, 8), complex))
    assert caught.value.name == "probe"
