import numpy as np
import pytest
from ptycho_physics import _stitching as stitching
from ptycho_physics._stitching import REACH, stitched_object

SHAPE = (40, 30)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def fields(rng, brightest=1.0):
    weight = rng.uniform(0.01, brightest, SHAPE)
    return rng.normal(size=SHAPE) + 1j * rng.normal(size=SHAPE), weight


def test_a_flat_object_stays_flat_in_any_light(rng):
    _, weight = fields(rng)
    np.testing.assert_allclose(stitched_object((2 + 1j) * weight, weight), 2 + 1j)


def test_bright_pixels_are_their_own(rng):
    object_, weight = fields(rng)
    bright = 100 * weight + 50
    np.testing.assert_allclose(stitched_object(object_ * bright, bright), object_, atol=2e-3)


def test_nothing_is_seen_where_no_patch_lies(rng):
    object_, weight = fields(rng)
    weight[10:25] = 0
    assert (stitched_object(object_ * weight, weight)[10:25] == 1).all()


def test_a_dim_pixel_takes_after_its_surroundings_alone():
    """A bell of weight around it, and of its own light as much as there is."""
    weight = np.ones(SHAPE)
    weight[20, 15] = 0.25
    total = weight.astype(complex)
    total[20, 15] = 0  # one around it, itself zero
    bell = np.poly([-1.0] * 2 * REACH) / 4**REACH
    middle = bell[REACH] ** 2
    mean = (1 - middle) / (1 - 0.75 * middle)
    found = stitched_object(total, weight)[20, 15]
    assert found == pytest.approx(mean / (0.25**2 + 1), rel=1e-12)


def test_strips_leave_no_seam(rng, monkeypatch):
    object_, weight = fields(rng)
    whole = stitched_object(object_ * weight, weight)
    monkeypatch.setattr(stitching, "STRIP", 7)
    np.testing.assert_allclose(stitched_object(object_ * weight, weight), whole, rtol=1e-12)


def test_torch_gives_the_same(torch, rng):
    object_, weight = fields(rng)
    found = stitched_object(torch.from_numpy(object_ * weight), torch.from_numpy(weight))
    np.testing.assert_allclose(found, stitched_object(object_ * weight, weight), rtol=1e-12)


def test_noise_in_dim_light_is_halved(rng):
    object_, _ = fields(rng)
    weight = np.ones(SHAPE)
    found = stitched_object(object_ * weight, weight)[REACH:-REACH, REACH:-REACH]
    assert 0.4 < found.std() / object_.std() < 0.6
