import math

import numpy as np
import pytest
from attrs import evolve
from ptycho_core import SimulationParts, simulate_scan
from ptycho_core.position_map import PositionMap
from ptycho_core.solving.call import solve_scan


def test_scales_rotation_and_shear_are_those_of_the_axes():
    turn, lean = math.radians(10), math.radians(3)
    x = 1.02 * np.array([math.cos(turn), math.sin(turn)])
    y = 0.97 * np.array([-math.sin(turn - lean), math.cos(turn - lean)])
    found = PositionMap.of(np.stack([x, y], axis=1))
    assert (found.scale_x, found.scale_y) == pytest.approx((1.02, 0.97))
    assert (found.rotation_deg, found.shear_deg) == pytest.approx((10, 3))


def test_nothing_is_corrected_by_the_identity():
    found = PositionMap.of(np.eye(2))
    assert (found.scale, found.rotation_deg, found.shear_deg) == (1, 0, 0)


def test_a_detector_that_is_nearer_than_stated_is_found():
    """All positions in pixels are too small where the stated pixel is too large."""
    scan = simulate_scan(SimulationParts().completed(object_size=200, n_patterns=250))
    middle = scan.positions.mean(axis=0)
    x, y = (middle + (scan.positions - middle) / 1.02).T
    wrong = evolve(
        scan,
        xcoords=x,
        ycoords=y,
        pixel_size_m=10.2e-9,
        detector_distance_m=2.04,
    )
    result = solve_scan(wrong, epochs=12, refine_affine=True, progress=False)
    assert result.metrics["position_scale"] == pytest.approx([1.02, 1.02], abs=0.004)
    assert result.metrics["pixel_size_m_by_stage"] == pytest.approx(10e-9, rel=0.003)
    assert result.metrics["detector_distance_m_by_stage"] == pytest.approx(2.0, rel=0.003)
    assert abs(result.metrics["position_rotation_deg"]) < 0.3
