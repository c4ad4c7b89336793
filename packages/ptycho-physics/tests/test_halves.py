import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ptycho_config.errors import InvalidValueError
from ptycho_physics import Canvas, defocused_probe, random_cells, scans, simulate_counts, solve
from ptycho_physics.metrics import compare, frc_of_halves, split_halves

SCANS = [scans.raster_scan, scans.snake_scan, scans.spiral_scan, scans.fermat_scan]


@given(n=st.integers(2, 60), seed=st.integers(0, 9))
def test_every_pattern_is_in_one_half(n, seed):
    first, second = split_halves(np.random.default_rng(seed).uniform(0, 50, (n, 2)))
    np.testing.assert_array_equal(np.sort(np.concatenate([first, second])), np.arange(n))
    assert len(first) - len(second) in (0, 1)


@pytest.mark.parametrize("scan", SCANS)
def test_each_half_covers_the_area(scan):
    positions = scan((150, 130), 32, number=300)
    for half in split_halves(positions):
        # From every position the nearest of the half is hardly farther than a neighbour.
        distance = np.linalg.norm(positions[:, None] - positions[half], axis=-1).min(axis=1)
        step = np.sqrt(98 * 118 / 300)
        assert distance.max() < 2.1 * step


def test_other_halves_exchange_neighbours():
    positions = np.stack([np.arange(40.0), np.zeros(40)], axis=1)
    halves = [split_halves(positions, seed) for seed in (1, 2)]
    for first, second in halves:
        np.testing.assert_array_equal(first // 2, np.arange(20))
        np.testing.assert_array_equal(second // 2, np.arange(20))
        assert not np.intersect1d(first, second).size
    shared = np.intersect1d(halves[0][0], halves[1][0])
    assert 4 < len(shared) < 16  # chance: neither the same split nor its mirror


def test_a_line_of_positions_is_taken_in_turns():
    first, second = split_halves(np.stack([np.arange(6.0), np.zeros(6)], axis=1))
    np.testing.assert_array_equal(first, [0, 2, 4])
    np.testing.assert_array_equal(second, [1, 3, 5])


def test_cut_to_what_both_cover(rng):
    world = rng.normal(size=(60, 70)) + 1j * rng.normal(size=(60, 70))
    canvases = [Canvas(origin=(3, 5), shape=(50, 52)), Canvas(origin=(6, 2), shape=(48, 60))]
    cuts = []
    for canvas in canvases:
        (x, y), (H, W) = canvas.origin, canvas.shape
        cuts.append(world[y : y + H, x : x + W])
    found = frc_of_halves(cuts[0], canvases[0], 2j * cuts[1], canvases[1], margin=4)
    np.testing.assert_allclose(found.correlation, 1, atol=1e-9)


def test_more_photons_more_resolution_and_close_to_the_truth():
    N, truth = 32, random_cells((110, 110), seed=3, radius=(4, 9))
    probe, positions = defocused_probe(N), scans.fermat_scan((110, 110), N, number=240)
    reached = []
    for photons in (3e3, 3e5):
        counts = simulate_counts(truth, probe, positions, photons, seed=0)
        halves = [solve(counts[k], positions[k], probe, epochs=8) for k in split_halves(positions)]
        found = frc_of_halves(
            halves[0].object, halves[0].canvas, halves[1].object, halves[1].canvas, margin=N // 2
        )
        reached.append(found.cutoff_half_bit)
        x, y = halves[0].canvas.origin
        inside = np.s_[N // 2 : -N // 2, N // 2 : -N // 2]
        H, W = halves[0].canvas.shape
        known = compare(halves[0].object[inside], truth[y : y + H, x : x + W][inside]).frc
    assert reached[0] < 0.8 * reached[1]
    assert reached[1] == pytest.approx(known.cutoff_half_bit, rel=0.25)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: split_halves(np.zeros((1, 2))), "positions"),
        (
            lambda: frc_of_halves(*halves((20, 20)), margin=5),
            "area common to both halves",
        ),
        (lambda: frc_of_halves(*halves((20, 30)), margin=0), "first"),
    ],
)
def test_what_cannot_be_compared_is_refused(call, name):
    with pytest.raises(InvalidValueError) as caught:
        call()
    assert caught.value.name == name


def halves(shape):
    canvas = Canvas(origin=(0, 0), shape=shape[::-1])
    return np.ones(shape, complex), canvas, np.ones(shape, complex), canvas
