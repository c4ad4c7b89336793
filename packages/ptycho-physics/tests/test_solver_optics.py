"""The solver with a detector in the near field, and with thick objects."""

import numpy as np
import pytest
from ptycho_config.errors import InvalidValueError
from ptycho_physics import (
    Canvas,
    Slices,
    compare,
    defocused_probe,
    fermat_scan,
    random_cells,
    siemens_star,
    simulate_counts,
    solve,
    speckle_probe,
)
from ptycho_physics.solver._optics import near_field_border
from ptycho_physics.solver._slices import wedge

N = 32
SHAPE = (80, 84)
#: Six depths of focus apart.
TWO = Slices(number=2, thickness=25.0 / 0.01, wavelength=0.01, pixel_size=1.0)


def weak(image):
    return np.exp(1j * np.angle(image)).astype(np.complex64)


@pytest.fixture(scope="module")
def thick():
    """Two objects, a probe, positions and counts."""
    objects = np.stack([weak(siemens_star(SHAPE)), weak(random_cells(SHAPE, seed=1))])
    probe, positions = defocused_probe(N), fermat_scan(SHAPE, N, number=150)
    counts = simulate_counts(objects, probe, positions, 1e6, 0, slices=TWO)
    return TWO, objects, probe, positions, counts


def cut(values, solution):
    return values[(..., *Canvas(origin=(0, 0), shape=SHAPE).window(solution.canvas))]


def middle(values):
    return values[..., N // 2 : -N // 2, N // 2 : -N // 2]


def test_two_objects_along_the_beam_are_told_apart(library, thick):
    slices, objects, probe, positions, counts = thick
    put = library.array
    solution = solve(put(counts), positions, put(probe), epochs=15, slices=slices)
    found, truth = middle(library.numpy(solution.slices)), middle(cut(objects, solution))
    for one in range(2):
        assert compare(found[one], truth[one]).correlation > 0.98
    product = middle(library.numpy(solution.object))
    np.testing.assert_allclose(product, found.prod(axis=0), atol=1e-6)
    thin = solve(put(counts), positions, put(probe), epochs=15)
    assert solution.r_factors[-1] < 0.5 * thin.r_factors[-1]
    assert thin.slices is None


def test_one_slice_is_a_thin_object(thick):
    _, _, probe, positions, counts = thick
    one = Slices(number=1, thickness=1.0, wavelength=0.01, pixel_size=1.0)
    plain = solve(counts, positions, probe, epochs=2)
    sliced = solve(counts, positions, probe, epochs=2, slices=one)
    np.testing.assert_array_equal(plain.object, sliced.object)


def test_a_run_with_slices_goes_on_with_the_same_bits(thick):
    slices, _, probe, positions, counts = thick
    states = []

    def stop_after(number):
        def between(state):
            states.append(state())
            return len(states) == number

        return between

    options = {"slices": slices, "update_probe": True, "probe_start": 0, "slice_coupling": 1.0}
    whole = solve(counts, positions, probe, epochs=3, **options)
    solve(counts, positions, probe, epochs=3, between=stop_after(13), **options)
    rest = solve(counts, positions, probe, epochs=3, state=states[-1], **options)
    np.testing.assert_array_equal(whole.slices, rest.slices)
    np.testing.assert_array_equal(whole.probe, rest.probe)


def test_coupling_keeps_the_sum_and_makes_slices_alike(thick):
    slices, _, probe, positions, counts = thick
    free, tied = (
        solve(counts, positions, probe, epochs=2, slices=slices, slice_coupling=coupling).slices
        for coupling in (0.0, 1e9)
    )
    assert np.linalg.norm(tied[0] - tied[1]) < 1e-3 * np.linalg.norm(free[0] - free[1])
    weight = wedge((4, 8, 8), slices, 1.0)
    np.testing.assert_allclose(weight[0], 1)
    assert weight[1, 0, 0] == pytest.approx(0)
    assert np.all((weight >= 0) & (weight <= 1))


@pytest.mark.parametrize("known", [True, False])
def test_near_field_of_a_speckle_beam(library, known):
    """Patterns are images of the whole field; outside of it no beam is known."""
    number, n = 0.05, 48
    border = near_field_border(number, n)
    wide = speckle_probe(n + 2 * border, 3.0)
    sample = random_cells((150, 150), seed=3, radius=(6.0, 14.0))
    random = np.random.default_rng(0)
    positions = 75 + random.uniform(-18, 18, size=(30, 2))
    counts = simulate_counts(sample, wide, positions, 1e7, 0, near_field=number, border=border)
    probe = wide[:, border:-border, border:-border] if known else np.ones((1, n, n), np.complex64)
    put = library.array
    solution = solve(
        put(counts),
        positions,
        put(np.ascontiguousarray(probe)),
        near_field=number,
        epochs=20 if known else 40,
        batch_size=4,
        update_probe=True,
        probe_start=1,
    )
    x, y = solution.canvas.origin
    height, width = solution.canvas.shape
    assert solution.probe.shape == (1, n, n)
    inner = np.s_[12:-12, 12:-12]
    truth = sample[y : y + height, x : x + width][inner]
    found = library.numpy(solution.object)[inner]
    assert compare(found, truth, remove_ramp=True).correlation > 0.98


def test_refuses_what_cannot_be(thick):
    slices, _, probe, positions, counts = thick
    for name, options in {
        "near_field": {"near_field": 0.001},
        "slice_coupling": {"slice_coupling": -1.0},
        "refine_positions": {"slices": slices, "refine_positions": True},
    }.items():
        with pytest.raises(InvalidValueError) as caught:
            solve(counts, positions, probe, **options)
        assert caught.value.name == name
