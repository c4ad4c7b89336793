import numpy as np
import pytest
from ptycho_cli.half_scan import half_scan_frc, ring_plot, said
from ptycho_data import Reconstruction
from ptycho_data.figures import new_figure
from ptycho_physics import DivergenceError
from ptycho_physics.metrics import frc
from scipy.ndimage import gaussian_filter

POSITIONS = np.array([[16.0, 16], [20, 20], [18, 17]])


def rec_of(object_, positions, pixel_size_m=None):
    return Reconstruction(
        object=object_,
        coverage=np.ones(object_.shape),
        xcoords=positions[:, 0],
        ycoords=positions[:, 1],
        indices=np.arange(len(positions)),
        probe=np.ones((1, 32, 32), np.complex64),
        origin=np.zeros(2, int),
        pixel_size_m=pixel_size_m,
    )


def test_common_detail_is_told_from_noise(tmp_path):
    rng = np.random.default_rng(0)
    detail = gaussian_filter(rng.normal(size=(160, 160)), 2.0)
    detail = 1 + detail / detail.std()
    positions = np.stack(np.meshgrid(*2 * [np.linspace(16, 144, 9)]), axis=-1).reshape(-1, 2)

    def noisy(part):
        noise = 0.5 * (rng.normal(size=detail.shape) + 1j * rng.normal(size=detail.shape))
        return rec_of(detail + noise, positions[part], pixel_size_m=1e-8)

    found = half_scan_frc(positions, noisy, tmp_path)
    # the spectrum of the detail falls to that of the noise between the two
    assert 0.05 < found["cutoff_half"] < 0.25
    assert found["patterns"] == [41, 40]
    assert found["resolution_half_m"] == pytest.approx(found["resolution_half"] * 1e-8)
    assert "nm) by 0.5" in said(found)
    assert "better" not in said(found)
    assert (tmp_path / "half_scan_frc.png").is_file()


def diverged(part):  # noqa: ARG001 - what a half is made of does not matter here
    msg = "solver: diverged in epoch 3"
    raise DivergenceError(msg)


@pytest.mark.parametrize(
    ("count", "reconstruct", "reason"),
    [
        (1, diverged, "n >= 2, found (1, 2)"),
        (3, diverged, "solver: diverged in epoch 3"),
        (3, lambda part: part.missing, "AttributeError"),
        (3, lambda part: rec_of(np.ones((40, 40)), POSITIONS[part]), "at least 16 x 16 pixels"),
    ],
)
def test_halves_that_cannot_be_had_are_warned_of(tmp_path, caplog, count, reconstruct, reason):
    assert half_scan_frc(POSITIONS[:count], reconstruct, tmp_path) is None
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage().startswith("no half-scan FRC: ")
    assert reason in record.getMessage()
    assert "none" in said(None)
    assert not list(tmp_path.iterdir())


def test_a_curve_that_stays_above_says_better_than(tmp_path):
    detail = np.random.default_rng(0).normal(size=(96, 96))
    positions = np.stack(np.meshgrid(*2 * [np.linspace(16, 80, 9)]), axis=-1).reshape(-1, 2)
    found = half_scan_frc(positions, lambda part: rec_of(detail, positions[part], 1e-6), tmp_path)
    assert (found["crossed_half"], found["crossed_half_bit"]) == (False, False)
    pixels = found["resolution_half"]
    expected = f"resolution better than {pixels:.2f} pixels ({1000 * pixels:.0f} nm) by 0.5, better"
    assert expected in said(found)


def test_plot_has_labels_units_and_marks_the_resolution():
    rng = np.random.default_rng(0)
    detail, *noise = (gaussian_filter(rng.normal(size=(96, 96)), s) for s in (2.0, 0, 0))
    curve = frc(*(10 * detail + part for part in noise))
    axes = new_figure(5, 5).subplots()
    ring_plot(axes, curve, title="of half scans", pixel_size_m=1e-8)
    assert (axes.get_title(), axes.get_ylabel()) == ("of half scans", "correlation")
    marked = [line.get_xdata()[0] for line in axes.lines if len(set(line.get_xdata())) == 1]
    assert marked == [curve.cutoff_half, curve.cutoff_half_bit]
    (upper,) = axes.child_axes
    assert upper.get_xlabel().startswith("cycles per")
    axes.figure.canvas.draw()
    assert upper.get_xlim() == pytest.approx((0, 50))  # 0.5 cycles in 10 nm
    plain = new_figure(5, 5).subplots()
    ring_plot(plain, frc(detail, detail))
    assert not plain.child_axes
    assert len(plain.lines) == 3
