import numpy as np
import pytest
from ptycho_core.analysis.ring_correlation import plot_ring_correlation
from ptycho_data.figures import new_figure
from ptycho_physics.metrics import frc
from scipy.ndimage import gaussian_filter


def test_plot_has_labels_units_and_marks_the_resolution():
    rng = np.random.default_rng(0)
    detail, *noise = (gaussian_filter(rng.normal(size=(96, 96)), s) for s in (2.0, 0, 0))
    curve = frc(*(10 * detail + part for part in noise))
    axes = new_figure(5, 5).subplots()
    plot_ring_correlation(axes, curve, title="of half scans", pixel_size_m=1e-8)
    assert (axes.get_title(), axes.get_ylabel()) == ("of half scans", "correlation")
    marked = [line.get_xdata()[0] for line in axes.lines if len(set(line.get_xdata())) == 1]
    assert marked == [curve.cutoff_half, curve.cutoff_half_bit]
    (upper,) = axes.child_axes
    assert upper.get_xlabel().startswith("cycles per")
    axes.figure.canvas.draw()
    assert upper.get_xlim() == pytest.approx((0, 50))  # 0.5 cycles in 10 nm
    plain = new_figure(5, 5).subplots()
    plot_ring_correlation(plain, frc(detail, detail))
    assert not plain.child_axes
    assert len(plain.lines) == 3
