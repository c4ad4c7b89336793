import struct
import subprocess
import sys

import numpy as np
import pytest
from ptycho_config.install import install_command
from ptycho_data import OutputExistsError, figures, views
from ptycho_data.rulers import Ruler, scale_bar_length


@pytest.fixture
def field():
    y, x = np.mgrid[:40, :60]
    return ((1 + 0.2 * np.sin(x / 5)) * np.exp(0.5j * np.cos(y / 4))).astype(np.complex64)


def png_size(path):
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", data[16:24])


@pytest.mark.parametrize(
    ("width", "length", "text"),
    [(1e-6, 2e-7, "200 nm"), (9e-6, 2e-6, "2 µm"), (4e-9, 1e-9, "1 nm"), (2.1e-3, 5e-4, "500 µm")],
)
def test_scale_bar_is_round(width, length, text):
    found, shown = scale_bar_length(width)
    assert found == pytest.approx(length)
    assert shown == text


def test_scale_bar_is_drawn_above_the_picture_where_the_pixel_size_is_known(field):
    view = views.object_views(field)[0]
    axes = figures.new_figure(4, 4).subplots()
    figures.draw(axes, view, 10e-9)
    assert [text.get_text() for text in axes.texts] == ["100 nm"]
    (bar,) = axes.patches
    assert bar.get_width() == pytest.approx(10 / 60)  # of a width of 60 pixels
    assert bar.get_y() > 1  # no pixel lies below it
    assert not axes.get_xticks().size
    plain = figures.new_figure(4, 4).subplots()
    figures.draw(plain, view)
    assert not plain.texts
    assert plain.get_xlabel() == "x / pixel"


def test_axes_show_the_place_on_the_stage(field):
    view = views.object_views(field, origin=(100, 200))[0]
    axes = figures.new_figure(4, 4).subplots()
    figures.draw(axes, view, 10e-9, (5e-6, -3e-6), lengths=True)
    assert axes.get_xlabel() == "x / µm on the stage"
    # pixel (100, 200) lies at (5 + 1, -3 + 2) µm, and its left edge half a pixel before
    assert axes.images[0].get_extent() == pytest.approx((5.995, 6.595, -0.605, -1.005))


@pytest.mark.parametrize(
    ("pixels", "pixel_m", "unit"),
    [(100, None, "pixel"), (100, 1e-8, "µm"), (100, 2e-11, "nm"), (1000, 1e-6, "mm")],
)
def test_units_of_axes(pixels, pixel_m, unit):
    assert Ruler.of((pixels, 10), pixel_m).unit == unit


def test_a_picture_by_itself_has_its_caption_and_what_was_removed(field, tmp_path):
    positions = np.array([[20.0, 15.0], [40.0, 15.0], [40.0, 25.0]])
    area = views.ScannedArea.of(positions, 16)
    view = views.object_views(field, area=area, level=True)[1]
    figure = figures.object_figure(view, 10e-9, caption="scan.npz: R-factor 0.1")
    (caption,) = [text.get_text().replace("\n", " ") for text in figure.texts]
    assert caption.startswith("scan.npz: R-factor 0.1; mean phase and ramp")
    outlines = [artist for artist in figure.axes[0].get_children() if hasattr(artist, "get_xy")]
    corners = [np.asarray(one.get_xy()) for one in outlines]
    assert any(len(one) == 4 and np.allclose(one[0], one[-1]) for one in corners)
    figures.save_figure(figure, tmp_path / "a.png", overwrite=False, dpi=200, tight=False)
    width, height = png_size(tmp_path / "a.png")
    assert width == round(figure.get_figwidth() * 200)
    assert height > 400


def test_saved_pictures_are_whole_and_repeatable(field, tmp_path):
    for name in ("a.png", "b.png"):
        figure = figures.new_figure(4, 3)
        figures.draw(figure.subplots(), views.object_views(field)[1])
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
