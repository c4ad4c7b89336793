import numpy as np
import pytest
from ptycho_physics import (
    channels_to_group,
    flat_to_group,
    group_to_channels,
    group_to_flat,
)


@pytest.fixture
def group():
    """Images (B, C, h, w) = (2, 3, 4, 5) that say where they belong."""
    return np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)


def test_flat_counts_channels_fastest(library, group):
    flat = library.numpy(group_to_flat(library.array(group)))
    assert flat.shape == (6, 4, 5)
    np.testing.assert_array_equal(flat[1 * 3 + 2], group[1, 2])


def test_channels_come_last(library, group):
    channels = library.numpy(group_to_channels(library.array(group)))
    assert channels.shape == (2, 4, 5, 3)
    np.testing.assert_array_equal(channels[1, :, :, 2], group[1, 2])


def test_there_and_back(any_library, group):
    xp, there = any_library.xp, any_library.array(group)
    flat = flat_to_group(group_to_flat(there, xp=xp), 3, xp=xp)
    channels = channels_to_group(group_to_channels(there, xp=xp), xp=xp)
    np.testing.assert_array_equal(any_library.numpy(flat), group)
    np.testing.assert_array_equal(any_library.numpy(channels), group)


def test_positions_have_the_layouts_of_their_images():
    positions = np.arange(2 * 3 * 2).reshape(2, 3, 1, 2)  # (B, C, 1, 2)
    last = group_to_channels(positions)
    assert last.shape == (2, 1, 2, 3)
    assert tuple(last[1, 0, :, 2]) == tuple(positions[1, 2, 0])  # (x, y) still
    assert tuple(group_to_flat(positions)[5, 0]) == tuple(positions[1, 2, 0])


@pytest.mark.parametrize("change", [group_to_flat, group_to_channels, channels_to_group])
def test_another_number_of_axes_is_refused(change):
    with pytest.raises(ValueError, match=r": 4 axes expected, found shape \(3, 4, 4\)"):
        change(np.zeros((3, 4, 4)))


def test_what_does_not_divide_into_groups_is_refused():
    with pytest.raises(ValueError, match="flat: a multiple of 4 images expected, found 6"):
        flat_to_group(np.zeros((6, 2, 2)), 4)
    with pytest.raises(ValueError, match="flat: 3 axes expected"):
        flat_to_group(np.zeros((6, 2)), 2)
