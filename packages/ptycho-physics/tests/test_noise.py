import numpy as np
import pytest
from ptycho_config.errors import InvalidValueError
from ptycho_physics.noise import beam_stop, poisson_noise, random_bad_pixels, read_out


def test_photons_have_the_mean_and_variance_of_poisson():
    counts = poisson_noise(np.full((400, 16, 16), 7.0), 0)
    # 1e5 numbers: standard errors of 0.008 and 0.03.
    assert abs(counts.mean() - 7) < 0.05
    assert abs(counts.var() - 7) < 0.2
    np.testing.assert_array_equal(counts, np.rint(counts))


def test_one_seed_is_one_noise_in_every_library(any_library, rng):
    rate = rng.uniform(0, 9, (2, 8, 8)).astype(np.float32)
    found = poisson_noise(any_library.array(rate), 4, xp=any_library.xp)
    noisy = read_out(found, 5, read_noise=1.5, saturation=8, xp=any_library.xp)
    found, noisy = any_library.numpy(found), any_library.numpy(noisy)
    assert found.dtype == noisy.dtype == np.float32
    np.testing.assert_array_equal(found, poisson_noise(rate, 4))
    np.testing.assert_array_equal(noisy, read_out(found, 5, read_noise=1.5, saturation=8))


def test_seeds_differ_and_a_generator_goes_on():
    rate = np.full((8, 8), 5.0)
    assert (poisson_noise(rate, 0) != poisson_noise(rate, 1)).any()
    generator = np.random.default_rng(0)
    first, second = poisson_noise(rate, generator), poisson_noise(rate, generator)
    np.testing.assert_array_equal(first, poisson_noise(rate, 0))
    assert (first != second).any()


def test_read_noise_is_gaussian_whole_and_not_negative():
    counts = read_out(np.full((400, 16, 16), 100.0), 0, read_noise=3.0)
    assert abs(counts.mean() - 100) < 0.05
    assert abs(counts.std() - 3) < 0.05
    np.testing.assert_array_equal(counts, np.rint(counts))
    assert read_out(np.zeros((100, 8, 8)), 0, read_noise=3.0).min() == 0


def test_saturation_cuts_off_after_the_noise():
    counts = read_out(np.full((50, 8, 8), 95.0), 0, read_noise=5.0, saturation=100)
    assert counts.max() == 100
    assert (counts < 95).any()


def test_bad_pixels_report_nothing():
    bad = np.zeros((4, 4), dtype=bool)
    bad[1, 2] = True
    counts = read_out(np.full((3, 4, 4), 9.0), 0, read_noise=1.0, bad_pixels=bad)
    assert (counts[:, 1, 2] == 0).all()
    assert (counts[:, ~bad] > 0).all()


def test_an_ideal_detector_changes_nothing():
    counts = np.arange(16.0).reshape(4, 4)
    np.testing.assert_array_equal(read_out(counts), counts)


@pytest.mark.parametrize("N", [16, 17])
def test_beam_stop_is_a_disk_around_zero_frequency(N):
    bad = beam_stop(N, 5)
    assert bad[N // 2, N // 2]
    assert bad.sum() == 21  # pixels within 2.5 of one: counted by hand
    np.testing.assert_array_equal(np.argwhere(bad).mean(axis=0), [N // 2, N // 2])


def test_the_arm_of_a_beam_stop_reaches_the_last_row():
    bad = beam_stop(16, 3, arm=2.5)
    np.testing.assert_array_equal(np.flatnonzero(bad[-1]), [7, 8, 9])
    assert not bad[0].any()


def test_random_bad_pixels_are_as_many_as_asked_for():
    bad = random_bad_pixels(32, 0.1, 0)
    assert bad.shape == (32, 32)
    assert bad.sum() == 102
    assert (bad != random_bad_pixels(32, 0.1, 1)).any()
    assert not random_bad_pixels(32, 0, 0).any()


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda x: poisson_noise(-x, 0), "rate"),
        (lambda x: poisson_noise(x * np.nan, 0), "rate"),
        (lambda x: read_out(x, read_noise=-1), "read_noise"),
        (lambda x: read_out(x, read_noise=np.nan), "read_noise"),
        (lambda x: read_out(x, saturation=0), "saturation"),
        (lambda x: read_out(x, bad_pixels=x[:2] > 0), "bad_pixels"),
        (lambda x: beam_stop(len(x), 0), "diameter"),
        (lambda x: beam_stop(len(x), 40), "diameter"),
        (lambda x: beam_stop(len(x), 2, arm=-1), "arm"),
        (lambda x: random_bad_pixels(len(x), 1.0, 0), "fraction"),
    ],
)
def test_what_is_outside_its_range_is_refused(call, name):
    with pytest.raises(InvalidValueError) as caught:
        call(np.ones((4, 4)))
    assert caught.value.name == name
