"""Recipes: how the files of an instrument become scans, as settings that are written once.

A recipe is validated like a configuration: all problems are told together.
"""

import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

import attrs
from attrs import frozen
from ptycho_config.errors import ConfigError, InvalidValueError, describe
from ptycho_data.raw import LAYOUTS, Names

from ptycho_core.first_probe.sources import ProbeSource, probe_source

__all__ = ["Recipe", "Setting", "merge", "recipe_from", "settings"]

_RASTER = re.compile(r"\s*(\d+)\s*[x×,]\s*(\d+)\s*")
#: Larger numbers are no place, matrix or angle.
_LARGEST = 1e6


@frozen(kw_only=True)
class Setting:
    """One setting of a recipe, and its option.

    Attributes
    ----------
    name
        Of the field; with hyphens that of the option.
    kind
        "text", "whole", "numbers" or "switch".
    help
        One sentence.
    section
        Title in the help.
    choices
        Allowed values, if they are few.
    metavar
        What the help calls a value.
    """

    name: str
    kind: str
    help: str
    section: str
    choices: tuple[str, ...] = ()
    metavar: str = ""

    @property
    def flag(self) -> str:
        """Name of the option."""
        return "--" + self.name.replace("_", "-")

    @property
    def rule(self) -> str:
        """What a value must be, in words."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        return {
            "text": "a text",
            "whole": "a whole number >= 1",
            "numbers": "numbers",
            "switch": "true or false",
        }[self.kind]


def _setting(
    help: str,  # noqa: A002 - what it is called in options
    section: str,
    *,
    kind: str = "text",
    choices: tuple[str, ...] = (),
    metavar: str = "",
) -> Any:
    metadata = {
        "help": help,
        "section": section,
        "kind": kind,
        "choices": choices,
        "metavar": metavar,
    }
    return attrs.field(default=None, metadata=metadata)


_FILES, _EXPERIMENT, _DETECTOR = "Datasets", "Experiment", "Detector"
_POSITIONS, _START = "Positions", "Probe and orientation"


@frozen(kw_only=True)
class Recipe:
    """How files become a scan; None for what the files, or the layout, say.

    Names of datasets are paths in the files of the scan, ``FILE::PATH`` for another file, with
    indices such as ``[:, 1]`` for a part. ``{stem}`` stands for the name of the first file.
    """

    layout: str | None = _setting(
        "Layout of the files, if it is not recognised.",
        _FILES,
        choices=tuple(layout.name for layout in LAYOUTS),
    )
    patterns: str | None = _setting("Frames of the detector.", _FILES, metavar="NAME")
    x: str | None = _setting("Positions along x.", _FILES, metavar="NAME")
    y: str | None = _setting("Positions along y.", _FILES, metavar="NAME")
    unit: str | None = _setting("Unit of x and y: m, mm, um, nm ...", _FILES, metavar="UNIT")
    mask: str | None = _setting("Mask of the detector.", _FILES, metavar="NAME")
    follow: str | None = _setting(
        "Folder that links may lead to; by default that of each file.", _FILES, metavar="FOLDER"
    )
    energy: str | None = _setting(
        "Energy: a dataset, or a number such as 8.8keV or 300kV.", _EXPERIMENT, metavar="NAME|VALUE"
    )
    distance: str | None = _setting(
        "Distance from sample to detector: a dataset, or 2.2m.", _EXPERIMENT, metavar="NAME|VALUE"
    )
    detector_pixel: str | None = _setting(
        "Size of a detector pixel: a dataset, 75um, or seen from the sample 0.5mrad or 0.02/A.",
        _EXPERIMENT,
        metavar="NAME|VALUE",
    )
    particle: str | None = _setting(
        "What is diffracted.", _EXPERIMENT, choices=("photon", "electron")
    )
    domain: str | None = _setting(
        "What the frames hold.", _EXPERIMENT, choices=("counts", "amplitude")
    )
    centre: str | None = _setting(
        "Centre of the beam in the frames: auto, file, corner, or ROW,COLUMN.",
        _DETECTOR,
        metavar="CENTRE",
    )
    size: int | None = _setting("Pixels along a side of a pattern.", _DETECTOR, kind="whole")
    bin: int | None = _setting("Sum blocks of so many pixels.", _DETECTOR, kind="whole")
    pad: str | None = _setting(
        "What lies beyond the frames where patterns are larger: dark pixels, or unknown ones.",
        _DETECTOR,
        choices=("dark", "unknown"),
    )
    transpose: bool | None = _setting(
        "Exchange rows and columns of the frames.", _DETECTOR, kind="switch"
    )
    flip: str | None = _setting(
        "Reverse the order of rows or columns of the frames, after --transpose.",
        _DETECTOR,
        choices=("none", "rows", "columns", "both"),
    )
    dark: str | None = _setting(
        "Dark level to subtract: a dataset, a number, auto, or none.",
        _DETECTOR,
        metavar="NAME|VALUE",
    )
    flat: str | None = _setting("Flat field to divide by.", _DETECTOR, metavar="NAME")
    mask_is: str | None = _setting(
        "What pixels of the mask that are not zero are.", _DETECTOR, choices=("auto", "bad", "good")
    )
    find_bad: bool | None = _setting("Find hot, stuck and dead pixels.", _DETECTOR, kind="switch")
    raster: str | None = _setting(
        "Positions on a raster, x the faster.", _POSITIONS, metavar="ROWSxCOLUMNS"
    )
    step: str | None = _setting(
        "Step of the raster: 30nm, or 30nm,40nm for x and y.", _POSITIONS, metavar="LENGTH"
    )
    snake: bool | None = _setting(
        "Every other row of the raster runs backwards.", _POSITIONS, kind="switch"
    )
    swap_xy: bool | None = _setting("Exchange x and y.", _POSITIONS, kind="switch")
    flip_x: bool | None = _setting(
        "Change the sign of x, after --swap-xy.", _POSITIONS, kind="switch"
    )
    flip_y: bool | None = _setting(
        "Change the sign of y, after --swap-xy.", _POSITIONS, kind="switch"
    )
    rotate: str | None = _setting(
        "Turn the positions by so many degrees, from x to y, after all signs; auto finds the angle "
        "(the default for electrons, if axes and signs are found, too).",
        _POSITIONS,
        metavar="DEGREES|auto",
    )
    affine: str | None = _setting(
        "Matrix a,b,c,d: x becomes a x + b y, y becomes c x + d y, after all else.",
        _POSITIONS,
        metavar="A,B,C,D",
    )
    drop_last: bool | None = _setting(
        "Leave out the last of the frames, or of the positions, if there are more of them.",
        _POSITIONS,
        kind="switch",
    )
    drop_first: bool | None = _setting("Leave out the first instead.", _POSITIONS, kind="switch")
    merge: bool | None = _setting(
        "Add up patterns that were taken at the same place.", _POSITIONS, kind="switch"
    )
    first_probe: str | None = _setting(
        "First probe: auto finds it from the patterns (the default), none leaves it to be made of "
        "their mean, or a file that has one, or optics such as pinhole:diameter=2um.",
        _START,
        metavar="auto|none|FILE|OPTICS",
    )
    orientation: str | None = _setting(
        "Find axes and signs of the positions by trying them (the default where none of "
        "--swap-xy, --flip-x and --flip-y is given), or keep them as they are.",
        _START,
        choices=("auto", "as-is"),
    )

    def __attrs_post_init__(self) -> None:
        """Check all settings, and tell all problems together."""
        problems = []
        for setting in settings():
            value = getattr(self, setting.name)
            if value is None:
                continue
            try:
                object.__setattr__(self, setting.name, _checked(setting, value))
            except ValueError:
                problems.append(f"{setting.name} must be {setting.rule}, got {describe(value)}")
                object.__setattr__(self, setting.name, None)  # no rule looks at it again
        problems += [text for text in (check(self) for check in _RULES) if text]
        if problems:
            raise ConfigError(*problems)

    def names(self) -> Names:
        """Return what `ptycho_data.raw.read_raw` needs."""
        given = {
            field.name: getattr(self, field.name)
            for field in attrs.fields(Names)
            if hasattr(self, field.name) and getattr(self, field.name) is not None
        }
        given["snake"] = bool(self.snake)
        if self.raster is not None:
            given["raster"] = _raster(self.raster)
        if self.dark in ("auto", "none"):
            given.pop("dark")
        return Names(**given)

    @property
    def probe_source(self) -> ProbeSource | None:
        """The file or the optics of the first probe, if it is said."""
        if self.first_probe in (None, "auto", "none"):
            return None
        return probe_source(self.first_probe or "")

    @property
    def orientation_wanted(self) -> bool:
        """Whether axes and signs of the positions are to be found."""
        if self.orientation is not None:
            return self.orientation == "auto"
        stated = (self.swap_xy, self.flip_x, self.flip_y)
        return self.first_probe in (None, "auto") and all(one is None for one in stated)

    def rotation_wanted(self, particle: str) -> bool:
        """Whether the angle between scan and detector is to be found."""
        if self.rotate is not None or self.affine is not None:
            return self.rotate == "auto"
        return particle == "electron" and self.orientation_wanted

    @property
    def degrees(self) -> float:
        """By how much the positions are turned, as far as that is known."""
        return 0.0 if self.rotate in (None, "auto") else float(self.rotate or 0)

    def given(self) -> dict[str, Any]:
        """Return the settings that are not None."""
        return {
            s.name: getattr(self, s.name) for s in settings() if getattr(self, s.name) is not None
        }

    @property
    def matrix(self) -> tuple[float, float, float, float] | None:
        """The matrix of ``affine``."""
        return None if self.affine is None else _four(self.affine)

    @property
    def place(self) -> tuple[float, float] | None:
        """The centre of the beam, if it is given as numbers: (row, column)."""
        return None if self.centre is None else _place(self.centre)


def settings() -> tuple[Setting, ...]:
    """Return the settings of a recipe, in the order of its sections."""
    return tuple(Setting(name=f.name, **f.metadata) for f in attrs.fields(Recipe))


def _checked(setting: Setting, value: object) -> Any:
    """Return a value in the type of its setting; raises ValueError for a wrong one."""
    if setting.kind == "switch":
        if not isinstance(value, bool):
            raise ValueError
        return value
    if setting.kind == "whole":
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 1 << 20:
            raise ValueError
        return value
    if isinstance(value, list | tuple):
        if not value or not all(type(item) in (int, float) for item in value):
            raise ValueError
        value = ",".join(f"{item!r}" for item in value)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError
    text = value if isinstance(value, str) else repr(value)
    if not text.strip() or "\0" in text or (setting.choices and text not in setting.choices):
        raise ValueError
    return text


def _numbers(text: str, count: int) -> tuple[float, ...] | None:
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        return None
    return values if len(values) == count and all(abs(v) < _LARGEST for v in values) else None


def _place(text: str) -> tuple[float, float] | None:
    found = _numbers(text, 2)
    return None if found is None else (found[0], found[1])


def _four(text: str) -> tuple[float, float, float, float] | None:
    found = _numbers(text, 4)
    return None if found is None else (found[0], found[1], found[2], found[3])


def _raster(text: str) -> tuple[int, int] | None:
    found = _RASTER.fullmatch(text)
    return None if found is None else (int(found[1]), int(found[2]))


def _centre_rule(recipe: Recipe) -> str | None:
    if recipe.centre in (None, "auto", "file", "corner") or recipe.place is not None:
        return None
    return f"centre must be auto, file, corner or ROW,COLUMN, got {describe(recipe.centre)}"


def _raster_rule(recipe: Recipe) -> str | None:
    found = None if recipe.raster is None else _raster(recipe.raster)
    if recipe.raster is None or (found and min(found) >= 1 and max(found) < 1 << 31):
        return None
    return f"raster must be ROWSxCOLUMNS, such as 40x40, got {describe(recipe.raster)}"


def _affine_rule(recipe: Recipe) -> str | None:
    found = recipe.matrix
    if recipe.affine is None or (found and found[0] * found[3] != found[1] * found[2]):
        return None
    return f"affine must be four numbers A,B,C,D with A D != B C, got {describe(recipe.affine)}"


def _rotate_rule(recipe: Recipe) -> str | None:
    if recipe.rotate == "auto" and recipe.affine is not None:
        return "rotate must be a number of degrees beside affine, got auto"
    if recipe.rotate in (None, "auto") or _numbers(recipe.rotate or "", 1):
        return None
    return f"rotate must be a number of degrees or auto, got {describe(recipe.rotate)}"


def _probe_rule(recipe: Recipe) -> str | None:
    try:
        recipe.probe_source  # noqa: B018 - reading it checks it
    except InvalidValueError as error:
        return f"first_probe: {error}"
    return None


def _drop_rule(recipe: Recipe) -> str | None:
    if recipe.drop_first and recipe.drop_last:
        return "drop_first must be given without drop_last, got both"
    return None


_RULES: tuple[Callable[[Recipe], str | None], ...] = (
    _centre_rule,
    _raster_rule,
    _affine_rule,
    _rotate_rule,
    _drop_rule,
    _probe_rule,
)


def recipe_from(values: Mapping[str, Any], source: str = "") -> Recipe:
    """Make a recipe of settings by their names.

    Raises
    ------
    ConfigError
        With all violations: unknown names, with a suggestion, and values that break their rules.
    """
    known = [setting.name for setting in settings()]
    problems = []
    for name in values:
        if name not in known:
            near = get_close_matches(str(name).lstrip("-").replace("-", "_"), known, n=1)
            hint = f", did you mean {near[0]}?" if near else ""
            problems.append(f"{describe(name)} is not a setting of a recipe{hint}")
    try:
        recipe = Recipe(**{name: values[name] for name in known if name in values})
    except ConfigError as error:
        problems += error.problems
    if problems:
        raise ConfigError(*(f"{source}: {text}" if source else text for text in problems))
    return recipe


def merge(recipe: Recipe, given: Mapping[str, Any]) -> Recipe:
    """Return a recipe with some settings replaced: those of the command line win."""
    return recipe_from({**recipe.given(), **given})
