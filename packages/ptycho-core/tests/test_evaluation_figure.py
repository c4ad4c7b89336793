import numpy as np
import pytest
from ptycho_core.analysis.evaluation_figure import SIDE, draw_evaluation
from ptycho_physics.metrics import compare

SHAPES = [(330, 165), (165, 165), (120, 300), (400, 60), (50, 300)]


@pytest.mark.parametrize(("width", "height"), SHAPES)
def test_figure_follows_the_shape_of_the_object(width, height):
    rng = np.random.default_rng(0)
    truth = (1 + 0.2 * rng.normal(size=(height, width))).astype(np.complex64)
    figure = draw_evaluation(compare(truth, truth), (0, 0, width, height), "table")
    figure.canvas.draw()
    pictures = [axes for axes in figure.findobj(type(figure.gca())) if axes.images]
    assert len(pictures) == 6
    for axes in pictures:
        picture, bar = axes.get_window_extent(), axes.images[0].colorbar.ax.get_window_extent()
        assert bar.height == pytest.approx(picture.height, rel=0.01)
        assert 0 < bar.x0 - picture.x1 < 20
        assert picture.width / picture.height == pytest.approx(width / height, rel=0.02)
    # They do not overlap, and they fill a good part of their area.
    extents = [axes.get_tightbbox() for axes in pictures]
    bars = [axes.images[0].colorbar.ax.get_tightbbox() for axes in pictures]
    for i, bar in enumerate(bars):
        assert not any(bar.overlaps(other) for j, other in enumerate(extents) if i != j)
    area = sum(axes.bbox.width * axes.bbox.height for axes in pictures)
    side = SIDE[0] * figure.dpi * figure.bbox.height
    assert area > 0.33 * (figure.bbox.width * figure.bbox.height - side)
    assert 0.8 < figure.bbox.width / figure.bbox.height < 3
