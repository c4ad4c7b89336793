import numpy as np
import pytest
from ptycho_cli.half_scan import half_scan_metrics, resolution_summary
from ptycho_core.testing import reconstruction_at
from ptycho_physics import DivergenceError

POSITIONS = np.array([[16.0, 16], [20, 20], [18, 17]])


def diverged(part):  # noqa: ARG001 - the indices do not matter here
    msg = "solver: diverged in epoch 3"
    raise DivergenceError(msg)


@pytest.mark.parametrize(
    ("count", "reconstruct", "reason"),
    [
        (1, diverged, "n >= 2"),
        (3, diverged, "solver: diverged in epoch 3"),
        (3, lambda part: part.missing, "AttributeError"),
        (
            3,
            lambda part: reconstruction_at(np.ones((40, 40)), POSITIONS[part]),
            "at least 16 x 16 pixels",
        ),
    ],
)
def test_a_failure_is_a_warning(tmp_path, caplog, count, reconstruct, reason):
    assert half_scan_metrics(POSITIONS[:count], reconstruct, tmp_path) is None
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage().startswith("no half-scan FRC: ")
    assert reason in record.getMessage()
    assert "not available" in resolution_summary(None)
    assert not list(tmp_path.iterdir())


def test_resolution_by_both_criteria():
    metrics = {
        "resolution_half": 2.5, "crossed_half": True,
        "resolution_half_bit": None, "crossed_half_bit": True,
    }  # fmt: skip
    assert resolution_summary(metrics) == (
        "half-scan FRC: resolution 2.50 pixels by 0.5, none by half-bit"
    )
