"""The wording of messages that people meet, in one place."""

from pathlib import Path

import numpy as np
import pytest
from ptycho_config.errors import PtychoError
from ptycho_core.analysis.comparison import PlacedObject, common_box
from ptycho_core.file_arrays import complex_array, position_array
from ptycho_core.simulation_parts import SimulationParts, make_object
from ptycho_core.testing import random_scan

PATH = Path("scan.npz")


def object_at(name, x):
    return PlacedObject(name=name, values=np.ones((20, 20), np.complex64), origin=(x, 0))


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda: common_box(object_at("a", 0), object_at("b", 10)),
            "the common rectangle of a and b must be at least 16 x 16 pixels, got x 0..20, y 0..20 "
            "and x 10..30, y 0..20; check that both belong to the same scan",
        ),
        (
            lambda: PlacedObject.from_scan(random_scan()),
            "objectGuess of the scan must be given for a comparison, got none; "
            "without a reference, see the R-factor in metrics.json",
        ),
        (
            lambda: complex_array(np.ones(4), 2, PATH, "objectGuess"),
            "objectGuess of scan.npz must be a complex array with 2 axes, got float64 of shape "
            "(4,)",
        ),
        (
            lambda: position_array(np.ones(2), np.ones(3), PATH),
            "xcoords and ycoords of scan.npz must be one-dimensional and of equal length, got "
            "shapes (2,) and (3,)",
        ),
        (
            lambda: make_object("moon", None, 64, 0),
            "object must be one of lines, siemens, random or a file, got 'moon': no such file",
        ),
        (
            lambda: SimulationParts(probe=np.ones((1, 8, 8), np.complex64)).completed(
                N=16, probe_source="gone.npz"
            ),
            "probe must be one of disk, gaussian, defocused, speckle or a file, got 'gone.npz': "
            "no such file",
        ),
    ],
)
def test_wording(call, text):
    with pytest.raises(PtychoError) as caught:
        call()
    assert str(caught.value) == text
