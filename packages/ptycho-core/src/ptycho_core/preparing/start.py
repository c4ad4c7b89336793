"""What a prepared scan starts from: the orientation of its positions, and a first probe."""

from typing import Any

import numpy as np
from attrs import evolve
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError
from ptycho_physics import DivergenceError

from ptycho_core.first_probe.search import FirstProbe, find_first_probe
from ptycho_core.first_probe.sources import first_probe_of
from ptycho_core.preparing.orientation import find_orientation, options_of
from ptycho_core.preparing.preparation import Prepared
from ptycho_core.preparing.recipe import Recipe, merge
from ptycho_core.preparing.rotation import MIRRORED, find_rotation, still_turned

__all__ = ["find_start", "with_rotation", "with_symmetry"]


def find_start(prepared: Prepared) -> None:
    """Find the orientation and the first probe of a prepared scan, as its recipe wants them.

    What is found is in its scan and its recipe, remarks and cautions.

    Raises
    ------
    InvalidValueError
        The recipe asks for one of them, and there are too few patterns.
    """
    recipe = prepared.recipe
    try:
        found = None
        if recipe.rotation_wanted(prepared.scan.particle):
            found = _turned(prepared)
        elif recipe.orientation_wanted:
            found = _oriented(prepared)
        if recipe.first_probe == "none":
            return
        if recipe.probe_source is not None:
            found = first_probe_of(prepared.scan, recipe.probe_source.text)
            prepared.remarks.append(found.describe())
        elif found is None:
            found = find_first_probe(prepared.scan)
            prepared.remarks.append(found.describe())
    except (InvalidValueError, DivergenceError) as error:
        if "auto" in (recipe.first_probe, recipe.orientation, recipe.rotate):
            raise
        prepared.cautions.append(f"no first probe was found: {error}")
        return
    prepared.cautions += [caution.text for caution in found.cautions]
    if not found.verdict.doubtful:
        prepared.scan = evolve(prepared.scan, probe=found.probe, probe_made=False)


def _oriented(prepared: Prepared) -> FirstProbe | None:
    """Turn the positions as the patterns say, if they say it clearly; returns a probe found so."""
    found = find_orientation(prepared.scan)
    prepared.remarks += found.describe().splitlines()
    if not found.decided:
        prepared.cautions.append(
            "the orientation of the positions was not decided; they stay as they are: try --flip-x "
            "and --swap-xy, and check centre, mask and units"
        )
        return found.first_probe
    prepared.recipe = with_symmetry(prepared.recipe, found.symmetry)
    prepared.scan = prepared.positioned(prepared.recipe)
    if found.first_probe is not None:
        prepared.remarks.append(found.first_probe.describe())
        turned = still_turned(evolve(prepared.scan, probe=found.first_probe.probe))
        if turned is not None:
            prepared.cautions.append(turned)
    return found.first_probe


def _turned(prepared: Prepared) -> FirstProbe | None:
    """Turn, and mirror if signs are not said, the positions by an angle that is clearly right."""
    found = find_rotation(prepared.scan, mirrors=prepared.recipe.orientation_wanted)
    prepared.remarks += found.describe().splitlines()
    if not found.decided:
        prepared.cautions.append(
            "the rotation between scan and detector was not decided; positions stay as they are: "
            "give --first-probe, or --rotate and --flip-y, and check centre, mask and units"
        )
        return None
    prepared.recipe = with_rotation(prepared.recipe, found.degrees, mirrored=found.mirrored)
    prepared.scan = prepared.positioned(prepared.recipe)
    if found.first_probe is not None:
        prepared.remarks.append(found.first_probe.describe())
    return found.first_probe


def with_rotation(recipe: Recipe, degrees: float, *, mirrored: bool) -> Recipe:
    """Return a recipe whose positions are turned after all it does, and mirrored before that.

    Parameters
    ----------
    recipe
        Without a rotation or a matrix.
    degrees, mirrored
        As in `ptycho_core.preparing.rotation.turned`.
    """
    plain = evolve(recipe, rotate=None)
    signed = with_symmetry(plain, MIRRORED) if mirrored else plain
    return merge(signed, {"orientation": "as-is", "rotate": f"{degrees:.2f}"})


def with_symmetry(recipe: Recipe, symmetry: int) -> Recipe:
    """Return a recipe whose positions are mirrored or swapped once more, after all it does.

    Parameters
    ----------
    recipe
    symmetry
        From 0 to 7, as in `ptycho_core.preparing.orientation.oriented`.
    """
    turn = _matrix(*options_of(symmetry))
    changes: dict[str, Any] = {"orientation": "as-is"}
    if not recipe.degrees and recipe.affine is None:
        first = _matrix(bool(recipe.swap_xy), bool(recipe.flip_x), bool(recipe.flip_y))
        total = turn @ first
        swap = bool(total[0, 0] == 0)
        changes["swap_xy"] = swap
        changes["flip_x"] = bool(total[0].sum() < 0)
        changes["flip_y"] = bool(total[1].sum() < 0)
    else:
        matrix = np.eye(2) if recipe.matrix is None else np.reshape(recipe.matrix, (2, 2))
        changes["affine"] = ",".join(f"{value:.17g}" for value in (turn @ matrix).ravel())
    return merge(recipe, changes)


def _matrix(swap: bool, flip_x: bool, flip_y: bool) -> NDArray[np.float64]:
    """Matrix that acts on (x, y) columns: swapped first, then with changed signs."""
    turned = np.array([[0.0, 1.0], [1.0, 0.0]]) if swap else np.eye(2)
    signs = np.diag([-1.0 if flip_x else 1.0, -1.0 if flip_y else 1.0])
    return np.asarray(signs @ turned)
