import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ptycho_config.errors import InvalidValueError
from ptycho_physics._patches import extract_patches
from ptycho_physics.scans import fermat_scan, random_scan, raster_scan, snake_scan, spiral_scan

SCANS = [raster_scan, snake_scan, spiral_scan, fermat_scan, random_scan]
GRIDS = [raster_scan, snake_scan]
SPIRALS = [spiral_scan, fermat_scan]


@pytest.mark.parametrize("scan", SCANS)
@settings(deadline=None)  # a busy machine is not a failure
@given(
    N=st.integers(2, 33),
    room=st.tuples(st.integers(4, 90), st.integers(4, 90)),
    number=st.integers(1, 150),
    jitter=st.sampled_from([0.0, 0.7, 1.5]),
)
def test_number_is_exact_and_every_patch_lies_inside(scan, N, room, number, jitter):
    shape = (N + room[0], N + room[1])
    positions = scan(shape, N, number=number, jitter=jitter)
    assert positions.shape == (number, 2)
    assert positions.dtype == np.float64
    # extract_patches refuses a patch that leaves the canvas
    extract_patches(np.zeros(shape), positions, N)


@pytest.mark.parametrize("scan", SCANS)
@settings(deadline=None)  # a busy machine is not a failure
@given(
    N=st.integers(2, 33),
    room=st.tuples(st.integers(0, 90), st.integers(0, 90)),
    step=st.floats(2, 200),
)
def test_every_patch_lies_inside_for_any_step(scan, N, room, step):
    shape = (N + room[0], N + room[1])
    positions = scan(shape, N, step=step)
    assert len(positions) >= 1
    extract_patches(np.zeros(shape), positions, N)


@pytest.mark.parametrize("scan", GRIDS)
def test_neighbours_of_a_grid_are_a_step_apart(scan):
    positions = scan((100, 140), 32, step=9.0)
    gaps = np.linalg.norm(positions[:, None] - positions[None], axis=-1)
    np.fill_diagonal(gaps, np.inf)
    np.testing.assert_allclose(gaps.min(axis=1), 9.0)


@pytest.mark.parametrize("scan", SPIRALS)
def test_spirals_have_the_density_of_their_step(scan):
    positions = scan((264, 304), 64, step=8.0)
    assert len(positions) == pytest.approx(200 * 240 / 64, rel=0.03)
    gaps = np.linalg.norm(positions[:, None] - positions[None], axis=-1)
    np.fill_diagonal(gaps, np.inf)
    assert np.median(gaps.min(axis=1)) > 0.6 * 8
    assert gaps.min(axis=1).max() < 1.3 * 8


@pytest.mark.parametrize("scan", SCANS)
def test_number_fills_the_whole_object(scan):
    positions = scan((164, 264), 64, number=400)
    low, high = positions.min(axis=0), positions.max(axis=0)
    assert np.all(high - low > [185, 90])
    np.testing.assert_allclose((low + high) / 2, [132, 82], atol=6)


def test_the_outermost_raster_patches_touch_the_borders():
    positions = raster_scan((64 + 30, 64 + 20), 64, number=12)
    np.testing.assert_array_equal(positions.min(axis=0), [32, 32])
    np.testing.assert_array_equal(positions.max(axis=0), [52, 62])


def test_raster_runs_along_x_and_snake_turns_round():
    raster, snake = (scan((60, 80), 20, number=12).reshape(3, 4, 2) for scan in GRIDS)
    assert np.all(np.diff(raster[..., 0], axis=1) > 0)
    assert np.all(np.diff(raster[..., 1], axis=1) == 0)
    np.testing.assert_array_equal(snake[0], raster[0])
    np.testing.assert_array_equal(snake[1], raster[1, ::-1])


@pytest.mark.parametrize("scan", SPIRALS)
def test_spirals_start_at_the_centre_and_go_outwards(scan):
    positions = scan((128, 128), 64, number=60)
    radius = np.linalg.norm(positions - positions[0], axis=1)
    np.testing.assert_allclose(positions[0], [64, 64])
    assert np.all(np.diff(radius) > 0)


@pytest.mark.parametrize("scan", GRIDS + SPIRALS)
def test_jitter_moves_by_up_to_its_size_and_follows_the_seed(scan):
    # A smaller object leaves the room that jitter takes at the border.
    still = scan((110, 110), 64, step=6.0)
    moved = scan((114, 114), 64, step=6.0, jitter=2.0, seed=5) - 2
    largest = np.abs(moved - still).max()
    assert 1.5 < largest <= 2 + 1e-9
    np.testing.assert_array_equal(moved, scan((114, 114), 64, step=6.0, jitter=2.0, seed=5) - 2)
    assert np.any(moved != scan((114, 114), 64, step=6.0, jitter=2.0, seed=6) - 2)


def test_random_follows_the_seed():
    assert np.any(
        random_scan((90, 90), 64, number=9) != random_scan((90, 90), 64, number=9, seed=1)
    )


@pytest.mark.parametrize("scan", SCANS)
@pytest.mark.parametrize(
    ("shape", "options", "name"),
    [
        ((90, 90), {}, "number or step"),
        ((90, 90), {"number": 3, "step": 2.0}, "number or step"),
        ((90, 90), {"number": 0}, "number"),
        ((90, 90), {"step": 0.0}, "step"),
        ((90, 90), {"step": 3.0, "jitter": -1.0}, "jitter"),
        ((90, 63), {"step": 3.0}, "shape"),
        ((65, 90), {"step": 3.0, "jitter": 1.0}, "shape"),
    ],
)
def test_impossible_scans_are_named(scan, shape, options, name):
    with pytest.raises(InvalidValueError) as caught:
        scan(shape, 64, **options)
    assert caught.value.name == name


@pytest.mark.parametrize("scan", SPIRALS)
def test_a_spiral_needs_room_both_ways(scan):
    with pytest.raises(InvalidValueError) as caught:
        scan((64, 90), 64, number=3)
    assert caught.value.name == "shape"
