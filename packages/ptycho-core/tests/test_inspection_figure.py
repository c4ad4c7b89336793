import attrs
import numpy as np
import pytest
from ptycho_core.analysis import inspection_figure
from ptycho_core.cautions import ScanFacts
from ptycho_core.testing import simulated_scan
from ptycho_data import OutputExistsError, plots
from ptycho_data.figures import new_figure


@pytest.mark.parametrize("positions", [10, 100])
def test_picture_of_counts_and_amplitudes(tmp_path, monkeypatch, positions):
    monkeypatch.setattr(plots, "MAX_POSITIONS", positions)
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


def test_bad_pixels_are_grey_and_set_no_colours():
    scan = simulated_scan(20)
    patterns = scan.diffraction.astype(np.uint32)
    patterns[:, 40] = 2**32 - 1  # marked
    patterns[:, 5, 7] = 2**32 - 1  # not marked
    bad = np.zeros((64, 64), bool)
    bad[40] = True
    facts = ScanFacts(attrs.evolve(scan, diffraction=patterns, bad_pixels=bad, known_totals=None))
    axes = new_figure(4, 4).subplots()
    inspection_figure._draw_pattern(axes, patterns[3].astype(float), "Pattern", facts)
    (image,) = axes.images
    assert np.array_equal(np.ma.getmaskarray(image.get_array()), bad)
    assert image.get_clim() == (0, np.log10(1 + scan.diffraction[3][~bad].max()))
    (cross,) = axes.lines
    assert cross.get_xydata().tolist() == [[32, 32]]
