import numpy as np
import pytest
from ptycho_config.errors import InvalidValueError
from ptycho_physics.objects import line_object, object_from_image, random_cells, siemens_star

FACTORIES = [siemens_star, line_object, random_cells]


@pytest.mark.parametrize("factory", FACTORIES)
@pytest.mark.parametrize("shape", [(96, 120), (101, 64)])
def test_objects_have_their_shape_and_contrast(factory, shape):
    made = factory(shape)
    amplitude, phase = np.abs(made), np.angle(made)
    assert made.shape == shape
    assert made.dtype == np.complex64
    assert amplitude.min() >= 0.6 - 1e-6
    assert amplitude.max() <= 1 + 1e-6
    assert np.abs(phase).max() <= 0.8 + 1e-6
    # ... and make use of it
    assert np.ptp(amplitude) > 0.25
    assert np.ptp(phase) > 1.0


@pytest.mark.parametrize("factory", FACTORIES)
def test_contrast_follows_the_arguments(factory):
    made = factory((80, 80), amplitude=(0.9, 0.8), phase=(0.3, 0.1))
    assert np.abs(made).min() >= 0.8 - 1e-6
    assert np.abs(made).max() <= 0.9 + 1e-6
    assert np.angle(made).min() >= 0.1 - 1e-6
    assert np.angle(made).max() <= 0.3 + 1e-6


@pytest.mark.parametrize("factory", FACTORIES)
def test_edges_are_soft(factory):
    made = np.abs(factory((128, 128)))
    steepest = max(np.abs(np.diff(made, axis=axis)).max() for axis in (0, 1))
    assert steepest < 0.5 * np.ptp(made)
    # Tapered, so that the borders do not count as edges
    window = np.hanning(128)
    power = np.abs(np.fft.fft2((made - made.mean()) * np.outer(window, window))) ** 2
    frequency = np.abs(np.fft.fftfreq(128))
    fine = np.maximum(frequency[:, None], frequency[None, :]) > 0.4
    assert power[fine].sum() < 1e-3 * power.sum()


@pytest.mark.parametrize("factory", [line_object, random_cells])
def test_seed_decides(factory):
    np.testing.assert_array_equal(factory((64, 64), seed=3), factory((64, 64), seed=3))
    assert np.any(factory((64, 64), seed=3) != factory((64, 64), seed=4))


@pytest.mark.parametrize("factory", [line_object, random_cells])
def test_phase_does_not_copy_amplitude(factory):
    made = factory((128, 128))
    correlation = np.corrcoef(np.abs(made).ravel(), np.angle(made).ravel())[0, 1]
    assert abs(correlation) < 0.95


@pytest.mark.parametrize("spokes", [8, 24])
def test_star_has_its_number_of_spokes(spokes):
    phase = np.angle(siemens_star((256, 256), spokes=spokes, rings=1))
    angle = np.linspace(0, 2 * np.pi, 4000, endpoint=False)
    rows, columns = (np.rint(127.5 + 80 * f(angle)).astype(int) for f in (np.sin, np.cos))
    bright = phase[rows, columns] > 0
    assert np.count_nonzero(bright & ~np.roll(bright, 1)) == spokes


def test_star_rings_are_cut_by_gaps_and_end_at_the_radius():
    phase = np.angle(siemens_star((240, 240), rings=3, radius=100))
    y, x = np.indices(phase.shape) - 119.5
    r = np.hypot(x, y)
    assert np.all(phase[r > 103] == pytest.approx(-0.8))
    assert np.all(phase[np.abs(r - 100 * 2 / 3) < 0.5] < -0.3)
    assert phase[np.abs(r - 85) < 0.5].max() > 0.7


def test_image_gives_beer_lambert_amplitude_and_linear_phase():
    grey = np.array([[0, 128], [64, 255]], dtype=np.uint8)
    made = object_from_image(grey, amplitude=(1.0, 0.25), phase=(0.0, 1.0))
    t = grey / 255
    np.testing.assert_allclose(np.abs(made), 0.25**t, rtol=1e-6)
    np.testing.assert_allclose(np.angle(made), t, atol=1e-6)


def test_two_images_give_amplitude_and_phase():
    ramp = np.arange(64.0).reshape(8, 8)
    made = object_from_image(ramp, phase_image=ramp.T[::-1], shape=(16, 24))
    assert made.shape == (16, 24)
    assert np.abs(made[0, 0]) > np.abs(made[-1, -1])
    # the transposed, flipped ramp is highest at the right of the first row
    assert np.angle(made[0, -1]) == np.angle(made).max()
    assert np.angle(made[-1, 0]) == np.angle(made).min()


def test_flat_image_is_an_empty_object():
    made = object_from_image(np.full((4, 4), 9))
    np.testing.assert_allclose(np.abs(made), 1)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: siemens_star((0, 5)), "shape"),
        (lambda: siemens_star((9, 9), spokes=0), "spokes"),
        (lambda: siemens_star((9, 9), amplitude=(1, 0)), "amplitude"),
        (lambda: line_object((9, 9), number=0), "number"),
        (lambda: line_object((9, 9), width=(3, 2)), "width"),
        (lambda: random_cells((9, 9), radius=(0, 2)), "radius"),
        (lambda: random_cells((9, 9), number=0), "number"),
        (lambda: object_from_image(np.zeros((3, 3, 3))), "image"),
        (lambda: object_from_image(np.zeros((3, 3), complex)), "image"),
        (lambda: object_from_image(np.full((3, 3), np.nan)), "image"),
        (lambda: object_from_image(np.eye(3), phase_image=np.ones(3)), "phase_image"),
    ],
)
def test_bad_arguments_are_named(call, name):
    with pytest.raises(InvalidValueError) as caught:
        call()
    assert caught.value.name == name
