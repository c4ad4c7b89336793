import json

import numpy as np
import pytest
from ptycho_cli.commands import evaluate
from ptycho_physics.metrics import compare


def test_table(ptycho, solved, scan_file):
    done = ptycho("evaluate", solved, scan_file)
    assert done.code == 0
    for words in ("complex correlation", "amplitude PSNR", "FRC falls below 0.5", "rectangle"):
        assert words in done.out


def test_json_and_files(ptycho, solved, scan_file, tmp_path):
    args = ["evaluate", solved / "reconstruction.npz", scan_file, "-o", tmp_path / "e", "--json"]
    done = ptycho(*args)
    metrics = json.loads(done.out)
    assert metrics["correlation"] > 0.99
    assert metrics == json.loads((tmp_path / "e" / "evaluation.json").read_text())
    assert (tmp_path / "e" / "evaluation.png").stat().st_size > 50_000
    assert ptycho(*args).fails_with("evaluation.json", "--overwrite")
    assert ptycho(*args, "--overwrite", "--remove-ramp").code == 0


def test_a_reconstruction_equals_itself(ptycho, solved):
    metrics = json.loads(ptycho("evaluate", solved, solved, "--json").out)
    assert abs(metrics["correlation"] - 1) < 1e-6
    assert metrics["amplitude_psnr"] is None or metrics["amplitude_psnr"] > 80
    text = ptycho("evaluate", solved, solved).out
    assert "none" in text or metrics["amplitude_psnr"]
    assert "FRC falls below 0.5       nowhere up to 0.500 cycles/pixel" in text
    assert metrics["frc"]["crossed_half"] is False


SHAPES = [(330, 165), (165, 165), (120, 300), (400, 60), (50, 300)]


@pytest.mark.parametrize(("width", "height"), SHAPES)
def test_figure_follows_the_shape_of_the_object(tmp_path, monkeypatch, width, height):
    rng = np.random.default_rng(0)
    truth = (1 + 0.2 * rng.normal(size=(height, width))).astype(np.complex64)
    figures = []
    monkeypatch.setattr(evaluate, "save_figure", lambda figure, *_, **__: figures.append(figure))
    box = (0, 0, width, height)
    evaluate.write_figure(compare(truth, truth), box, tmp_path / "e.png", overwrite=False)
    (figure,) = figures
    figure.canvas.draw()
    pictures = [axes for axes in figure.findobj(type(figure.gca())) if axes.images]
    assert len(pictures) == 6
    for axes in pictures:
        picture, bar = axes.get_window_extent(), axes.images[0].colorbar.ax.get_window_extent()
        assert bar.height == pytest.approx(picture.height, rel=0.01)
        assert 0 < bar.x0 - picture.x1 < 20
        assert picture.width / picture.height == pytest.approx(width / height, rel=0.02)
    # No two of them overlap, and together they fill what is theirs.
    extents = [axes.get_tightbbox() for axes in pictures]
    bars = [axes.images[0].colorbar.ax.get_tightbbox() for axes in pictures]
    for i, bar in enumerate(bars):
        assert not any(bar.overlaps(other) for j, other in enumerate(extents) if i != j)
    area = sum(axes.bbox.width * axes.bbox.height for axes in pictures)
    side = evaluate.SIDE[0] * figure.dpi * figure.bbox.height
    assert area > 0.33 * (figure.bbox.width * figure.bbox.height - side)
    assert 0.8 < figure.bbox.width / figure.bbox.height < 3


def test_refusals(ptycho, solved, scan_file, tmp_path):
    assert ptycho("evaluate", tmp_path / "gone", scan_file).code == 2
    swapped = ptycho("evaluate", scan_file, scan_file)
    assert swapped.fails_with("scan.npz", "not a reconstruction", "reconstruction.npz")
    assert swapped.err.count("probeGuess") == 1
    empty = tmp_path / "empty"
    empty.mkdir()
    assert ptycho("evaluate", empty, scan_file).fails_with("reconstruction.npz")
    np.savez(tmp_path / "other.npz", nothing=[1])
    assert ptycho("evaluate", solved, tmp_path / "other.npz").fails_with("found neither")
