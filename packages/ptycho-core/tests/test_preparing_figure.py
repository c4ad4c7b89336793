"""The picture of a prepared scan."""

import attrs
import numpy as np
import pytest
from ptycho_core.preparing import figure as module
from ptycho_core.preparing.figure import save_preparing_figure
from ptycho_core.preparing.preparation import View
from ptycho_core.testing import simulated_scan
from ptycho_data.raw import Window


@pytest.mark.parametrize(
    ("pixel", "label", "factor"),
    [(None, "x / pixel", 1), (5e-12, "x / pm", 5), (5e-10, "x / nm", 0.5), (2e-8, "x / µm", 0.02)],
)
def test_positions_are_drawn_in_the_unit_that_suits_them(
    tmp_path, monkeypatch, pixel, label, factor
):
    drawn = []
    monkeypatch.setattr(module, "save_figure", lambda figure, *_, **__: drawn.append(figure))
    scan = attrs.evolve(simulated_scan(), pixel_size_m=pixel, probe_made=True)
    window = Window(shape=(scan.N, scan.N), centre=(scan.N // 2,) * 2, size=scan.N)
    view = View(mean=np.ones((scan.N,) * 2), bad=np.zeros((scan.N,) * 2, bool), window=window)
    save_preparing_figure(scan, view, None, tmp_path / "scan.png")
    (axes,) = (one for one in drawn[0].axes if one.get_title() == "Positions")
    assert axes.get_xlabel() == label
    x = axes.collections[0].get_offsets()[:, 0]
    np.testing.assert_allclose(np.ptp(x), np.ptp(scan.xcoords) * factor)
