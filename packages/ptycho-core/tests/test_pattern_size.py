import numpy as np
import pytest
from ptycho_core.preparing.pattern_size import lost_light, usual_size

MIDDLE = (128.0, 128.0)


def disk(shape, centre, radius, tail=0.0, background=0.0):
    """A disk of 100 counts, with light that falls off beyond it."""
    distance = np.hypot(*(np.indices(shape).T - np.array(centre)).T)
    beyond = tail * np.exp(-((distance / (2 * radius)) ** 2))
    return np.where(distance <= radius, 100.0, beyond) + background


@pytest.mark.parametrize("background", [0.0, 3.0, 40.0])
def test_background_is_no_light(background):
    light = disk((256, 256), MIDDLE, 20, tail=0.2, background=background)
    assert usual_size(light, MIDDLE, 1) == 128
    assert lost_light(light, MIDDLE, 256) == 0
    inside = disk((256, 256), MIDDLE, 20, tail=0.2)[64:192, 64:192].sum()
    lost = 1 - inside / disk((256, 256), MIDDLE, 20, tail=0.2).sum()
    assert lost_light(light, MIDDLE, 128) == pytest.approx(lost, rel=0.1)


@pytest.mark.parametrize(
    ("side", "centre", "size"),
    [
        (128, (65.7, 61.7), 128),  # the frames hold 122: filled up
        (128, (50.0, 64.0), 100),  # and only 100
        (96, (48.0, 48.0), 96),
    ],
)
def test_no_light_is_cut_off_where_the_frames_hold_it(side, centre, size):
    assert usual_size(disk((side, side), centre, 30, tail=5.0), centre, 1) == size


def test_frames_are_filled_up_as_asked():
    light = disk((96, 96), (48.0, 48.0), 30, tail=5.0)
    assert usual_size(light, (48.0, 48.0), 1, pad=True) == 128


def test_binned_patterns_hold_the_same_light():
    light = disk((256, 256), MIDDLE, 20, tail=0.2)
    assert usual_size(light, MIDDLE, 2) == 64
