import attrs
import pytest
from ptycho_config.errors import ConfigError
from ptycho_core.preparing.recipe import (
    Recipe,
    merge,
    recipe_from,
    settings,
)
from ptycho_core.preparing.recipe_files import load_recipe, save_recipe
from ptycho_data import OutputExistsError
from ptycho_data.raw import Names


def test_a_saved_recipe_is_read_again(tmp_path):
    recipe = Recipe(
        patterns='/a "b"/µ',
        energy="8.8keV",
        size=128,
        flip_x=True,
        snake=False,
        affine="1,0,0.5,-1",
    )
    save_recipe(tmp_path / "r.toml", recipe)
    assert load_recipe(tmp_path / "r.toml") == recipe
    with pytest.raises(OutputExistsError):
        save_recipe(tmp_path / "r.toml", recipe)


def test_numbers_are_accepted_for_texts():
    recipe = recipe_from({"energy": 8800, "distance": 2.2, "centre": [77, 101.5], "rotate": 30})
    assert (recipe.energy, recipe.distance, recipe.place) == ("8800", "2.2", (77, 101.5))
    assert recipe.names().energy == "8800"


def test_all_problems_are_told_together():
    values = {
        "patern": "/a",
        "size": 0,
        "flip": "up",
        "raster": "40",
        "affine": "1,2,2,4",
        "centre": "left",
        "snake": "yes",
        "rotate": "east",
    }
    with pytest.raises(ConfigError) as caught:
        recipe_from(values, source="r.toml")
    told = str(caught.value)
    assert "\n" not in told
    for text in (
        "'patern' is not a setting of a recipe, did you mean patterns?",
        "size must be a whole number >= 1, got 0",
        "flip must be one of none, rows, columns, both",
        "raster must be ROWSxCOLUMNS",
        "affine must be four numbers",
        "centre must be auto, file, corner or ROW,COLUMN",
        "snake must be true or false",
        "rotate must be a number of degrees",
    ):
        assert text in told
    assert len(caught.value.problems) == len(values)


@pytest.mark.parametrize("name", ["centre", "raster", "affine", "rotate", "energy"])
@pytest.mark.parametrize("value", [[[]], [], {}, True, "", ["a"], [None]])
def test_a_value_of_another_type_is_one_problem(name, value):
    with pytest.raises(ConfigError) as caught:
        recipe_from({name: value})
    assert len(caught.value.problems) == 1


def test_both_ends_cannot_be_left_out():
    with pytest.raises(ConfigError, match="drop_first must be given without drop_last"):
        Recipe(drop_first=True, drop_last=True)


def test_what_is_given_wins_over_the_recipe():
    recipe = merge(Recipe(size=64, unit="um"), {"size": 128})
    assert (recipe.size, recipe.unit) == (128, "um")


@pytest.mark.parametrize(
    ("text", "found"), [("size = ", "not valid TOML"), ("size = 3\nsize = 4", "not valid TOML")]
)
def test_what_is_no_recipe_is_told(tmp_path, text, found):
    path = tmp_path / "r.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=found):
        load_recipe(path)
    with pytest.raises(ConfigError, match=r"must end in \.toml"):
        load_recipe(tmp_path / "r.json")


def test_every_name_of_a_dataset_is_a_setting():
    known = {setting.name for setting in settings()}
    assert {field.name for field in attrs.fields(Names)} <= known
    assert all(setting.help.endswith(".") for setting in settings())


def test_levels_that_are_found_are_no_names_of_datasets():
    assert Recipe(dark="auto").names().dark is None
    assert Recipe(dark="none").names().dark is None
    assert Recipe(dark="20", raster="3x4").names().raster == (3, 4)
