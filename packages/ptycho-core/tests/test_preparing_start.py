import numpy as np
import pytest
from ptycho_config import ConfigError
from ptycho_core.preparing.orientation import options_of
from ptycho_core.preparing.positions import stage_positions
from ptycho_core.preparing.recipe import Recipe
from ptycho_core.preparing.start import with_symmetry
from ptycho_data.raw import RawScan
from ptycho_physics import apply_symmetry_to_positions

RAW = RawScan(frames=np.zeros((5, 4, 4)), x_m=np.arange(5.0), y_m=np.arange(5.0) ** 2)


@pytest.mark.parametrize("symmetry", range(8))
@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(),
        Recipe(flip_x=True),
        Recipe(swap_xy=True, flip_y=True),
        Recipe(flip_x=True, rotate="20", affine="1,0.1,0,1.2"),
        Recipe(swap_xy=True, rotate="-7"),
    ],
)
def test_a_recipe_with_a_symmetry_does_both(recipe, symmetry):
    expected = np.asarray(apply_symmetry_to_positions(stage_positions(RAW, recipe), symmetry))
    found = stage_positions(RAW, with_symmetry(recipe, symmetry))
    # mirrored about the middle of the scan or about zero: the same but for a shift
    np.testing.assert_allclose(found - found[0], expected - expected[0], atol=1e-12)
    assert not with_symmetry(recipe, symmetry).orientation_wanted
    assert len(options_of(symmetry)) == 3


def test_an_orientation_is_wanted_unless_something_is_said_of_it():
    assert Recipe().orientation_wanted
    assert not Recipe(flip_x=False).orientation_wanted
    assert not Recipe(first_probe="none").orientation_wanted
    assert not Recipe(first_probe="probe.npz").orientation_wanted
    assert Recipe(flip_x=True, orientation="auto").orientation_wanted
    assert not Recipe(orientation="as-is").orientation_wanted


def test_a_recipe_names_the_source_of_the_probe():
    assert Recipe(first_probe="auto").probe_source is None
    source = Recipe(first_probe="pinhole:diameter=2um").probe_source
    assert (source.kind, source.values) == ("pinhole", {"diameter": pytest.approx(2e-6)})
    with pytest.raises(ConfigError) as caught:
        Recipe(first_probe="pinhole:size=2um")
    assert len(caught.value.problems) == 1
