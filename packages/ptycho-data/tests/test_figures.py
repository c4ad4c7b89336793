import math
import struct
import subprocess
import sys

import numpy as np
import pytest
from ptycho_config.install import install_command
from ptycho_data import OutputExistsError, figures


@pytest.fixture
def field():
    y, x = np.mgrid[:40, :60]
    return ((1 + 0.2 * np.sin(x / 5)) * np.exp(0.5j * np.cos(y / 4))).astype(np.complex64)


def png_size(path):
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", data[16:24])


def test_limits_ignore_outliers():
    values = np.linspace(0, 1, 10_000)
    values[0], values[1] = 1e9, np.nan
    low, high = figures.robust_limits(values)
    assert 0 < low < 0.01
    assert 0.99 < high < 1


def test_limits_of_flat_and_empty_images():
    low, high = figures.robust_limits(np.full(10, 3.0))
    assert low < 3 < high
    assert figures.robust_limits(np.array([])) == (0.0, 1.0)


def test_views_mask_what_is_not_covered_and_crop_to_the_rest(field):
    coverage = np.zeros(field.shape)
    coverage[10:20, 5:25] = 1
    coverage[12, 7] = 0
    coverage[0, 0] = 1e-3  # lit, but hardly
    amplitude, phase = figures.object_views(field, coverage, origin=(100, 200))
    assert amplitude.image.shape == phase.image.shape == (10, 20)
    assert amplitude.image.mask.sum() == 1
    assert amplitude.image.mask[2, 2]
    # Pixel centres lie at whole numbers of the object grid.
    assert amplitude.extent == (104.5, 124.5, 219.5, 209.5)


def test_large_objects_are_averaged_over_blocks(field, monkeypatch):
    coverage = np.ones(field.shape)
    coverage[:5, :4] = 0  # five rows of the first block of six by six
    coverage[:, 59] = 0
    whole = figures.object_views(field, coverage, origin=(100, 200))
    monkeypatch.setattr(figures, "LONGEST_SIDE", 10)
    amplitude, phase = figures.object_views(field, coverage, origin=(100, 200))
    assert amplitude.image.shape == phase.image.shape == (7, 10)  # 40 x 59 pixels, 6 x 6 each
    assert amplitude.extent == (99.5, 159.5, 241.5, 199.5)
    assert np.argwhere(amplitude.image.mask[:6]).tolist() == [[0, 0]]
    inner = np.s_[6:36, 6:54]
    for small, large in zip((amplitude, phase), whole, strict=True):
        expected = large.image.data[inner].reshape(5, 6, 8, 6).mean(axis=(1, 3))
        # Means of the phase and of phasors differ by its spread within a block, cubed.
        np.testing.assert_allclose(small.image.data[1:6, 1:9], expected, atol=0.06)
    expected = np.abs(field[36:40, 6:12]).mean()  # an incomplete block
    assert amplitude.image.data[6, 1] == pytest.approx(expected, rel=1e-5)


def test_amplitude_survives_a_steep_phase(monkeypatch):
    monkeypatch.setattr(figures, "LONGEST_SIDE", 10)
    steep = np.exp(1j * np.arange(40) * 1.5) * np.ones((40, 1))
    amplitude, _ = figures.object_views(steep)
    np.testing.assert_allclose(amplitude.image, 1, rtol=1e-6)


def test_phase_is_centred_and_perceptual(field):
    _, phase = figures.object_views(field * np.exp(2.5j))
    assert phase.colours == "viridis"
    assert -0.6 < phase.limits[0] < phase.limits[1] < 0.6


def test_phase_around_the_circle_is_cyclic():
    ramp = np.exp(1j * np.linspace(0, 40, 1000)).reshape(10, 100)
    _, phase = figures.object_views(ramp)
    assert phase.limits == (-math.pi, math.pi)
    assert phase.colours == "twilight_shifted"


@pytest.mark.parametrize(
    ("width", "length", "text"),
    [(1e-6, 2e-7, "200 nm"), (9e-6, 2e-6, "2 µm"), (4e-9, 1e-9, "1 nm"), (2.1e-3, 5e-4, "500 µm")],
)
def test_scale_bar_is_round(width, length, text):
    found, shown = figures.scale_bar_length(width)
    assert found == pytest.approx(length)
    assert shown == text


def test_scale_bar_is_drawn_where_the_pixel_size_is_known(field):
    view = figures.object_views(field)[0]
    axes = figures.new_figure(4, 4).subplots()
    figures.draw(axes, view, 10e-9)
    assert [text.get_text() for text in axes.texts] == ["100 nm"]
    assert axes.patches[0].get_width() == pytest.approx(10)  # pixels
    plain = figures.new_figure(4, 4).subplots()
    figures.draw(plain, view)
    assert not plain.texts
    assert plain.get_xlabel() == "x / pixel"


def test_saved_pictures_are_whole_and_repeatable(field, tmp_path):
    for name in ("a.png", "b.png"):
        figure = figures.new_figure(4, 3)
        figures.draw(figure.subplots(), figures.object_views(field)[1])
        figures.save_figure(figure, tmp_path / name, overwrite=False)
    assert min(png_size(tmp_path / "a.png")) > 200
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png"]


def test_saving_refuses(tmp_path):
    figure = figures.new_figure(2, 2)
    with pytest.raises(ValueError, match="'docx'"):
        figures.save_figure(figure, tmp_path / "x.docx", overwrite=False)
    (tmp_path / "x.png").touch()
    with pytest.raises(OutputExistsError):
        figures.save_figure(figure, tmp_path / "x.png", overwrite=False)


def test_no_pyplot_is_involved():
    code = (
        "import sys; from ptycho_data.figures import new_figure; new_figure(2, 2); "
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603


def test_without_matplotlib_the_message_says_what_to_install():
    code = (
        "import sys\n"
        "sys.modules['matplotlib'] = None\n"
        "from ptycho_data import figures\n"
        "figures.new_figure(2, 2)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)  # noqa: S603
    error = done.stderr.splitlines()[-1]
    assert error.startswith("ptycho_config.errors.MissingPackageError: pictures need")
    assert error.endswith(install_command("ptycho-data[pictures]"))


def test_a_caption_is_broken_to_the_width_of_its_figure():
    figure = figures.new_figure(4, 4)
    figures.add_caption(figure, "")
    assert not figure.get_supxlabel()
    figures.add_caption(figure, "scan.npz: R-factor 0.1, 200 patterns, " * 3)
    lines = figure.get_supxlabel().splitlines()
    assert len(lines) > 1
    assert max(len(line) for line in lines) <= 4 * figures.CHARACTERS_PER_INCH


@pytest.mark.parametrize("name", ["\udcff\udcfe.npz", r"$\frac$.npz", "a\nb\x1b[2J.npz"])
def test_any_name_can_be_drawn_in_a_caption(name, tmp_path):
    figure = figures.new_figure(4, 4)
    figures.add_caption(figure, f"{name}: R-factor 0.1")
    figures.save_figure(figure, tmp_path / "a.png", overwrite=False)
    assert (tmp_path / "a.png").stat().st_size > 0
