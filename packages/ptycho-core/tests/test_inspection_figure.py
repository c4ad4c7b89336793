import attrs
import numpy as np
import pytest
from ptycho_core import inspection_figure
from ptycho_core.testing import simulated_scan
from ptycho_data import OutputExistsError


@pytest.mark.parametrize("positions", [10, 100])
def test_picture_of_counts_and_amplitudes(tmp_path, monkeypatch, positions):
    monkeypatch.setattr(inspection_figure, "MAX_POSITIONS", positions)
    scan = simulated_scan(20)
    amplitude = np.sqrt(scan.diffraction) / np.sqrt(scan.diffraction.max())
    amplitudes = attrs.evolve(
        scan, diffraction=amplitude.astype(np.float32), domain="amplitude", known_totals=None
    )
    for name, shown in (("counts.png", scan), ("amplitude.png", amplitudes)):
        inspection_figure.save_inspection_figure(shown, tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    with pytest.raises(OutputExistsError):
        inspection_figure.save_inspection_figure(scan, tmp_path / "counts.png")
