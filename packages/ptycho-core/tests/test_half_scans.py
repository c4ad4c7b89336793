import numpy as np
import pytest
from ptycho_config.errors import PtychoError
from ptycho_core.analysis.half_scans import half_scan_frc, sparing_half_scan_frc
from ptycho_core.analysis.ring_correlation import describe_resolution
from ptycho_core.testing import reconstruction_at
from ptycho_physics import DivergenceError
from scipy.ndimage import gaussian_filter


def test_common_detail_is_separated_from_noise(tmp_path):
    rng = np.random.default_rng(0)
    detail = gaussian_filter(rng.normal(size=(160, 160)), 2.0)
    detail = 1 + detail / detail.std()
    positions = np.stack(np.meshgrid(*2 * [np.linspace(16, 144, 9)]), axis=-1).reshape(-1, 2)

    def noisy(part):
        noise = 0.5 * (rng.normal(size=detail.shape) + 1j * rng.normal(size=detail.shape))
        return reconstruction_at(detail + noise, positions[part], pixel_size_m=1e-8)

    result = half_scan_frc(positions, noisy)
    found = result.metrics
    # the spectrum of the detail falls to that of the noise between the two
    assert 0.05 < found["cutoff_half"] < 0.25
    assert found["patterns"] == [41, 40]
    assert found["resolution_half_m"] == pytest.approx(found["resolution_half"] * 1e-8)
    text = describe_resolution(found, "half")
    assert text.endswith(" nm)")
    assert "better" not in text
    result.save_figure(tmp_path / "half_scan_frc.png")
    assert (tmp_path / "half_scan_frc.png").is_file()


def test_a_curve_that_stays_above_says_better_than():
    detail = np.random.default_rng(0).normal(size=(96, 96))
    positions = np.stack(np.meshgrid(*2 * [np.linspace(16, 80, 9)]), axis=-1).reshape(-1, 2)
    result = half_scan_frc(positions, lambda part: reconstruction_at(detail, positions[part], 1e-6))
    found = result.metrics
    assert (found["crossed_half"], found["crossed_half_bit"]) == (False, False)
    pixels = found["resolution_half"]
    expected = f"better than {pixels:.2f} pixels ({1000 * pixels:.0f} nm)"
    assert describe_resolution(found, "half") == expected


def test_halves_need_a_common_area():
    positions = np.array([[16.0, 16], [20, 20], [18, 17]])
    for count in (1, 3):
        with pytest.raises((PtychoError, ValueError)):
            half_scan_frc(
                positions[:count],
                lambda part: reconstruction_at(np.ones((40, 40)), positions[part]),
            )


def diverged(part):  # noqa: ARG001 - the indices do not matter here
    msg = "solver: diverged in epoch 3"
    raise DivergenceError(msg)


THREE = np.array([[16.0, 16], [20, 20], [18, 17]])


@pytest.mark.parametrize(
    ("count", "reconstruct", "reason"),
    [
        (1, diverged, "n >= 2"),
        (3, diverged, "solver: diverged in epoch 3"),
        (3, lambda part: part.missing, "AttributeError"),
        (
            3,
            lambda part: reconstruction_at(np.ones((40, 40)), THREE[part]),
            "at least 16 x 16 pixels",
        ),
    ],
)
def test_a_failure_is_a_warning(caplog, count, reconstruct, reason):
    assert sparing_half_scan_frc(THREE[:count], reconstruct) is None
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage().startswith("no half-scan FRC: ")
    assert reason in record.getMessage()
