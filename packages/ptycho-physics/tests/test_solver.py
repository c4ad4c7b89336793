import numpy as np
import pytest
from ptycho_config.errors import InvalidValueError
from ptycho_physics import (
    Canvas,
    DivergenceError,
    defocused_probe,
    extract_patches,
    normalise_probe,
    orthogonal_modes,
    random_cells,
    simulate_counts,
    snake_scan,
    solve,
)
from ptycho_physics.metrics import complex_correlation

N = 32


@pytest.fixture(scope="module")
def experiment():
    truth = random_cells((72, 76), radius=(4, 9), seed=3)
    positions = snake_scan(truth.shape, N, step=4.0, jitter=0.4, seed=1)
    probe = defocused_probe(N)
    counts = simulate_counts(truth, probe, positions, 1e6, seed=5)
    return truth, positions, probe, counts


def scanned(solution, positions):
    """The scanned rectangle of a solution, and of the object it came from."""
    x0, y0 = solution.canvas.origin
    (left, top), (right, bottom) = (
        np.ceil(positions.min(0)).astype(int),
        positions.max(0).astype(int),
    )
    return np.s_[top - y0 : bottom - y0, left - x0 : right - x0], np.s_[top:bottom, left:right]


def score(library, solution, truth, positions):
    here, there = scanned(solution, positions)
    return complex_correlation(library.numpy(solution.object)[here], truth[there])


def test_finds_the_object_from_a_flat_start(library, experiment):
    truth, positions, probe, counts = experiment
    solution = solve(library.array(counts), positions, library.array(probe), epochs=10)
    assert score(library, solution, truth, positions) > 0.995
    assert solution.r_factors[-1] < 0.1 * solution.r_factors[0] + 0.05
    assert library.numpy(solution.object).dtype == np.complex64
    assert solution.canvas == Canvas.covering(positions, N)


def test_numpy_and_torch_take_the_same_step(experiment, torch):
    _, positions, probe, counts = experiment
    # One step on all patterns. In a longer run rounding decides the phase of pixels predicted
    # dark where a photon arrives, and two runs drift apart as two NumPy runs 1e-7 apart do.
    options = {"epochs": 1, "batch_size": len(counts), "update_probe": True, "probe_start": 0}
    first = solve(counts, positions, probe, **options)
    second = solve(torch.from_numpy(counts), positions, torch.from_numpy(probe), **options)
    np.testing.assert_allclose(first.object, second.object.numpy(), atol=1.4e-3)
    np.testing.assert_allclose(first.probe, second.probe.numpy(), atol=1.4e-3)
    largest = float(first.coverage.max())
    np.testing.assert_allclose(first.coverage, second.coverage.numpy(), atol=1.4e-3 * largest)
    np.testing.assert_allclose(first.r_factors, second.r_factors, rtol=1e-5)


def test_truth_is_a_fixed_point(library, experiment):
    truth, positions, probe, _ = experiment
    P = normalise_probe(probe)
    canvas = Canvas.covering(positions, N)
    x0, y0 = canvas.origin
    start = truth[y0 : y0 + canvas.shape[0], x0 : x0 + canvas.shape[1]]
    waves = np.fft.fft2(extract_patches(start, canvas.local(positions), N) * P[0], norm="ortho")
    counts = np.fft.fftshift(np.abs(waves) ** 2, axes=(-2, -1)).astype(np.float32)
    counts /= counts.sum((1, 2)).mean()  # photons = 1 ...
    gain = np.sqrt((np.abs(waves) ** 2).sum((1, 2)).mean())  # ... so the object takes this gauge
    initial = (start / gain).astype(np.complex64)
    solution = solve(
        library.array(counts), positions, library.array(P), initial=library.array(initial), epochs=1
    )
    assert solution.r_factors[0] < 1e-4
    np.testing.assert_allclose(library.numpy(solution.object), initial, atol=1e-3)


def test_bright_pixel_comes_back_where_it_is(library):
    truth = np.ones((60, 64), dtype=np.complex64)
    truth[29, 33] = 0.2
    positions = snake_scan(truth.shape, N, step=4.0, jitter=0.4, seed=1)
    probe = defocused_probe(N)
    counts = simulate_counts(truth, probe, positions, 1e7, seed=5)
    solution = solve(library.array(counts), positions, library.array(probe), epochs=20)
    here, there = scanned(solution, positions)
    found = np.abs(library.numpy(solution.object)[here])
    expected = np.abs(truth[there])
    assert np.unravel_index(found.argmin(), found.shape) == np.unravel_index(
        expected.argmin(), expected.shape
    )


def test_refining_the_probe_repairs_a_wrong_one(library, experiment):
    truth, positions, probe, counts = experiment
    wrong = library.array(
        (probe * np.exp(1j * 0.6 * np.linspace(-1, 1, N) ** 2)).astype(np.complex64)
    )
    kept = solve(library.array(counts), positions, wrong, epochs=25)
    refined = solve(library.array(counts), positions, wrong, epochs=25, update_probe=True)
    assert refined.r_factors[-1] < 0.7 * kept.r_factors[-1]
    power = (np.abs(library.numpy(refined.probe)) ** 2).sum()
    np.testing.assert_allclose(power, 1, rtol=1e-3)
    assert score(library, refined, truth, positions) > score(library, kept, truth, positions)


def test_bad_pixels_do_not_spoil_the_object(library, experiment):
    truth, positions, probe, counts = experiment
    bad = np.zeros((N, N), dtype=bool)
    bad[N // 2 + 3, N // 2 - 2] = bad[10, 12] = True
    spoiled = np.where(bad, np.float32(1e5), counts)
    masked = np.where(bad, np.float32(0), counts)
    ignored = solve(library.array(spoiled), positions, library.array(probe), epochs=8)
    used = solve(
        library.array(masked), positions, library.array(probe), epochs=8, mask=library.array(bad)
    )
    assert score(library, used, truth, positions) > 0.99
    assert score(library, used, truth, positions) > score(library, ignored, truth, positions)


def test_dose_and_probe_power_do_not_change_the_object(library, experiment):
    _, positions, probe, counts = experiment
    # One step on all patterns: see above.
    options = {"epochs": 1, "batch_size": len(counts)}
    three = np.complex64(3) * probe
    first = solve(library.array(counts), positions, library.array(probe), **options)
    second = solve(library.array(7 * counts), positions, library.array(three), **options)
    np.testing.assert_allclose(
        library.numpy(first.object), library.numpy(second.object), atol=1.4e-3
    )


@pytest.fixture(scope="module")
def dim(experiment):
    truth, positions, probe, _ = experiment
    return truth, positions, probe, simulate_counts(truth, probe, positions, 800, seed=5)


def test_the_mean_over_epochs_has_less_noise(library, dim):
    truth, positions, probe, counts = dim
    arrays = (library.array(counts), positions, library.array(probe))
    options = {"epochs": 16, "batch_size": 8, "relaxation": 0.1}
    mean, last = (solve(*arrays, **options, average=each) for each in (None, False))
    errors = [1 - score(library, each, truth, positions) for each in (mean, last)]
    assert errors[0] < 0.8 * errors[1]


def test_there_is_an_object_before_the_first_mean(dim):
    _, positions, probe, counts = dim
    seen = []
    solve(
        *(counts, positions, probe),
        epochs=1,
        look=lambda so_far: seen.append(so_far().object.std()),
    )
    assert seen[0] > 0.01
    assert seen == sorted(seen)


def test_dim_patterns_darken_the_truth_without_an_offset(library, dim):
    truth, positions, probe, _ = dim
    counts = simulate_counts(truth, probe, positions, 100, seed=5)
    canvas = Canvas.covering(positions, N)
    initial = truth[Canvas(origin=(0, 0), shape=truth.shape).window(canvas)]
    brightness = []
    for offset in (0.0, 1.0):
        # one step on all patterns
        arrays = (library.array(counts), positions, library.array(probe))
        options = {"initial": library.array(initial), "epochs": 1, "batch_size": len(counts)}
        found = solve(*arrays, **options, offset=offset, average=False)
        here, there = scanned(found, positions)
        common = np.vdot(truth[there], library.numpy(found.object)[here]).real
        brightness.append(common / np.vdot(truth[there], truth[there]).real)
    assert brightness[0] < 0.9
    assert 1 <= brightness[1] < 1.15


def test_many_photons_are_not_averaged(experiment):
    _, positions, probe, counts = experiment
    usual, last = (
        solve(counts, positions, probe, epochs=2, average=each) for each in (None, False)
    )
    np.testing.assert_array_equal(usual.object, last.object)


def test_callback_hears_of_every_epoch(experiment):
    _, positions, probe, counts = experiment
    heard = []
    solution = solve(
        counts[:20], positions[:20], probe, epochs=3, callback=lambda k, r: heard.append((k, r))
    )
    assert heard == list(zip([1, 2, 3], solution.r_factors, strict=True))


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"counts": np.zeros((4, 8, 8), np.float32)}, "counts"),
        ({"counts": np.ones((4, 8, 7), np.float32)}, "counts"),
        ({"probe": np.ones((8, 8), np.complex64)}, "probe"),
        ({"positions": np.zeros((3, 2))}, "positions"),
        ({"initial": np.ones((3, 3), np.complex64)}, "initial"),
    ],
)
def test_what_does_not_fit_is_refused(change, name):
    arguments = {
        "counts": np.ones((4, 8, 8), np.float32),
        "positions": np.arange(8.0).reshape(4, 2),
        "probe": np.ones((1, 8, 8), np.complex64),
    } | change
    initial = arguments.pop("initial", None)
    with pytest.raises(InvalidValueError) as caught:
        solve(*arguments.values(), initial=initial)
    assert caught.value.name == name


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 2.5),
        ("epochs", -1),
        ("batch_size", 0),
        ("relaxation", 0.0),
        ("relaxation", 1.1),
        ("tolerance", float("nan")),
        ("offset", -0.5),
        ("patience", 0),
        ("modes", 0),
        ("seed", -1),
    ],
)
def test_options_have_a_range(experiment, name, value):
    _, positions, probe, counts = experiment
    with pytest.raises(InvalidValueError, match=f"{name} must be .*, got {value}"):
        solve(counts, positions, probe, **{name: value})


def test_divergence_is_an_error_and_never_a_result():
    counts = np.ones((4, 8, 8), np.float32)
    initial = np.full((14, 14), np.nan, np.complex64)
    with pytest.raises(DivergenceError, match="diverged in epoch 1"):
        solve(
            counts,
            np.arange(8.0).reshape(4, 2),
            np.ones((1, 8, 8), np.complex64),
            initial=initial,
        )


@pytest.mark.parametrize("value", [3e5, np.nan])
def test_what_a_bad_pixel_holds_does_not_matter(library, experiment, value):
    _, positions, probe, counts = experiment
    bad = np.zeros((N, N), dtype=bool)
    bad[N // 2 + 3, N // 2 - 2] = True
    found = [
        library.numpy(
            solve(
                library.array(np.where(bad, np.float32(hot), counts)),
                positions,
                library.array(probe),
                epochs=1,
                mask=library.array(bad),
            ).object
        )
        for hot in (0, value)
    ]
    np.testing.assert_allclose(*found, atol=1.4e-3)


def test_a_beam_stop_does_not_make_the_object_brighter(library, experiment):
    _, positions, probe, counts = experiment
    stop = np.zeros((N, N), dtype=bool)
    stop[N // 2 - 3 : N // 2 + 3, N // 2 - 3 : N // 2 + 3] = True
    masked = library.array(np.where(stop, np.float32(0), counts))
    free = solve(library.array(counts), positions, library.array(probe), epochs=8)
    stopped = solve(masked, positions, library.array(probe), epochs=8, mask=library.array(stop))
    here = np.abs(library.numpy(free.object))[20:-20, 20:-20].mean()
    there = np.abs(library.numpy(stopped.object))[20:-20, 20:-20].mean()
    assert there == pytest.approx(here, rel=0.06)


def test_positions_are_refined(library, experiment):
    truth, positions, probe, counts = experiment
    noise = np.random.default_rng(4).normal(scale=0.7, size=positions.shape)
    wrong = positions + noise - noise.mean(axis=0)
    arguments = (library.array(counts), wrong, library.array(probe))
    kept = solve(*arguments, epochs=25)
    refined = solve(*arguments, epochs=25, refine_positions=True)
    assert refined.r_factors[-1] < 0.7 * kept.r_factors[-1]
    left = refined.positions - positions
    assert np.std(left - left.mean(axis=0)) < 0.5 * np.std(noise)
    np.testing.assert_array_equal(kept.positions, wrong)
    assert refined.canvas == Canvas.covering(refined.positions, N)
    assert tuple(refined.object.shape) == tuple(refined.coverage.shape) == refined.canvas.shape
    better, worse = (score(library, s, truth, positions) for s in (refined, kept))
    assert better > worse


def test_modes_explain_a_partially_coherent_beam(library):
    truth = random_cells((72, 76), radius=(4, 9), seed=3)
    positions = snake_scan(truth.shape, N, step=4.0, jitter=0.4, seed=1)
    beam = orthogonal_modes(defocused_probe(N), 2, decay=0.3)
    counts = library.array(simulate_counts(truth, beam, positions, 1e6, seed=5))
    guess = library.array(beam[:1])
    one = solve(counts, positions, guess, epochs=15, update_probe=True)
    two = solve(counts, positions, guess, epochs=15, update_probe=True, modes=2)
    assert two.r_factors[-1] < 0.6 * one.r_factors[-1]
    found = library.numpy(two.probe)
    assert found.shape == (2, N, N)
    assert abs(np.vdot(found[0], found[1])) < 1e-4
    assert np.sum(np.abs(found[0]) ** 2) > np.sum(np.abs(found[1]) ** 2)
    np.testing.assert_allclose(np.sum(np.abs(found) ** 2), 1, rtol=1e-3)


def test_modes_that_cannot_be_found_are_refused(experiment):
    _, positions, probe, counts = experiment
    with pytest.raises(InvalidValueError) as caught:
        solve(counts, positions, probe, modes=2)
    assert caught.value.name == "modes"
    assert caught.value.advice == "set update_probe as well"
    several = orthogonal_modes(probe, 2)
    with pytest.raises(InvalidValueError) as caught:
        solve(counts, positions, several, modes=3, update_probe=True)
    assert caught.value.name == "modes"


def test_stops_at_a_plateau_and_says_so(experiment):
    _, positions, probe, counts = experiment
    stopped = solve(counts, positions, probe, epochs=60, tolerance=0.01)
    assert stopped.stopped == "plateau"
    assert 4 < len(stopped.r_factors) < 40
    assert solve(counts, positions, probe, epochs=3, tolerance=0.01).stopped == "epochs"


def test_a_smooth_phase_error_of_the_start_is_gone_after_one_epoch(library, experiment):
    truth, positions, probe, counts = experiment
    canvas = Canvas.covering(positions, N)
    (x0, y0), (height, width) = canvas.origin, canvas.shape
    rows, columns = np.indices(canvas.shape)
    bent = 0.03 * columns - 0.025 * rows + 2e-4 * (columns - width / 2) ** 2
    start = truth[y0 : y0 + height, x0 : x0 + width] * np.exp(1j * bent)
    arguments = (library.array(counts), positions, library.array(probe))
    polished = solve(*arguments, initial=library.array(start.astype(np.complex64)), epochs=1)
    here, there = scanned(polished, positions)
    assert complex_correlation(start[here], truth[there]) < 0.95
    assert score(library, polished, truth, positions) > 0.995


def test_a_start_is_not_written_to(library, experiment):
    _, positions, probe, counts = experiment
    start = np.ones(Canvas.covering(positions, N).shape, dtype=np.complex64)
    given = library.array(start)
    solve(library.array(counts), positions, library.array(probe), initial=given, epochs=1)
    np.testing.assert_array_equal(library.numpy(given), 1)


@pytest.mark.gpu
def test_it_runs_on_a_gpu(torch, experiment):
    truth, positions, probe, counts = experiment
    solution = solve(torch.from_numpy(counts).cuda(), positions, torch.from_numpy(probe).cuda())
    assert solution.object.is_cuda
    here, there = scanned(solution, positions)
    assert complex_correlation(solution.object.cpu().numpy()[here], truth[there]) > 0.995
