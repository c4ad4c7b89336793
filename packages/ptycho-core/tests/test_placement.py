import numpy as np
import pytest
from ptycho_core.analysis.placement import Placement

RASTER = np.stack(np.meshgrid(np.arange(4.0), np.arange(3.0)), axis=-1).reshape(-1, 2)


@pytest.mark.parametrize("scale", [1e-302, 1e-150, 1.0, 1e6])
def test_the_step_of_a_raster_is_found_at_any_scale(scale):
    # Below 1e-160, squares are zero: the triangulation takes the places for one.
    placement = Placement(RASTER * scale)
    assert placement.step == pytest.approx(scale if scale > 1e-160 else 0, rel=1e-6)
    assert placement.main.all()
