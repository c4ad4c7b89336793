"""Patches with phases of their own, joined into one picture."""

import numpy as np
import pytest
from ptycho_physics import (
    Canvas,
    Mosaic,
    extract_patches,
    gaussian_probe,
    probe_weight,
    random_cells,
)
from ptycho_physics.metrics import complex_correlation

N = 16
WEIGHT = np.asarray(probe_weight(gaussian_probe(N, 8)), dtype=np.float32)


def scene(step=3.0, seed=0):
    """An object, positions on it with some jitter, and its patches."""
    truth = random_cells((90, 110), radius=(4, 9), seed=seed)
    x, y = np.meshgrid(np.arange(N, 110 - N, step), np.arange(N, 90 - N, step))
    positions = np.stack([x.ravel(), y.ravel()], axis=-1)
    positions += np.random.default_rng(seed).uniform(-1, 1, positions.shape)
    return truth, positions, extract_patches(truth, positions, N)


def picture(library, patches, positions, batch=50, most_tiles=None, block=None):
    """Merge in batches; return the object on the canvas that covers the positions."""
    mosaic = Mosaic(N, most_tiles=most_tiles, block=block)
    weight = library.array(WEIGHT)
    for start in range(0, len(patches), batch):
        part = slice(start, start + batch)
        mosaic.add(library.array(patches[part]), positions[part], weight)
    canvas = Canvas.covering(positions, N)
    total, weight = (library.numpy(part) for part in mosaic.merged(canvas))
    return total / np.maximum(weight, 1e-9), weight, canvas


def on_canvas(truth, canvas):
    """Cut the canvas out of the object."""
    (x, y), (height, width) = canvas.origin, canvas.shape
    return truth[y : y + height, x : x + width]


def test_patches_in_phase_give_the_object(library):
    truth, positions, patches = scene()
    found, weight, canvas = picture(library, patches, positions)
    lit = weight > 0.05
    assert complex_correlation(found[lit], on_canvas(truth, canvas)[lit]) > 0.999
    assert weight.sum() == pytest.approx(len(patches) * WEIGHT.sum(), rel=1e-5)


@pytest.mark.parametrize("spread", [0.5, np.pi])
def test_phases_of_patches_do_not_matter(library, spread):
    truth, positions, patches = scene()
    phases = np.random.default_rng(1).uniform(-spread, spread, (len(patches), 1, 1))
    turned = (patches * np.exp(1j * phases)).astype(np.complex64)
    found, weight, canvas = picture(library, turned, positions)
    lit = weight > 0.05
    assert complex_correlation(found[lit], on_canvas(truth, canvas)[lit]) > 0.99


@pytest.mark.parametrize("reserve", [True, False])
def test_wide_scans_are_assembled_on_the_way(library, reserve):
    truth, positions, patches = scene()
    phases = np.random.default_rng(1).uniform(-np.pi, np.pi, (len(patches), 1, 1))
    turned = (patches * np.exp(1j * phases)).astype(np.complex64)
    mosaic, canvas = Mosaic(N, most_tiles=30, block=25), Canvas.covering(positions, N)
    if reserve:
        mosaic.reserve(canvas)
    most, totals = 0, []
    for start in range(0, len(patches), 25):
        part = slice(start, start + 25)
        mosaic.add(library.array(turned[part]), positions[part], library.array(WEIGHT))
        most = max(most, len(mosaic._slots))
        if mosaic._assembled is not None:
            totals.append(mosaic._assembled.total)
    total, weight = (library.numpy(part) for part in mosaic.merged(canvas))
    lit = weight > 0.05
    found = total[lit] / weight[lit]
    assert totals
    if reserve:  # one sheet of paper from the start to the end
        assert all(paper is totals[0] for paper in totals)
    assert most <= 30 < len(np.unique(positions // mosaic.step, axis=0))
    assert complex_correlation(found, on_canvas(truth, canvas)[lit]) > 0.98
    assert weight.sum() == pytest.approx(len(patches) * WEIGHT.sum(), rel=1e-4)


def test_the_assembled_part_can_be_extended(library):
    truth, positions, patches = scene()
    mosaic, canvas = Mosaic(N, most_tiles=30), Canvas.covering(positions, N)
    weight = library.array(WEIGHT)
    for start in range(0, len(patches), 25):
        part = slice(start, start + 25)
        mosaic.add(library.array(patches[part]), positions[part], weight)
        mosaic.merged(Canvas.covering(positions[: start + 25], N))
    total, weight = (library.numpy(part) for part in mosaic.merged(canvas))
    lit = weight > 0.05
    assert complex_correlation(total[lit] / weight[lit], on_canvas(truth, canvas)[lit]) > 0.999


def test_a_bright_pixel_stays_where_it_is(library):
    x, y = 1003, -517
    patch = np.zeros((1, N, N), dtype=np.complex64)
    patch[0, N // 2, N // 2] = 2.0
    found, _, canvas = picture(library, patch, np.array([[x, y]], dtype=np.float64))
    row, column = y - canvas.origin[1], x - canvas.origin[0]
    assert found[row, column] == pytest.approx(2.0, rel=1e-5)
    assert np.abs(found).sum() == pytest.approx(2.0, rel=1e-5)


def test_islands_keep_their_own_phase(library):
    patches = np.ones((2, N, N), dtype=np.complex64) * np.exp(1j * np.array([0.0, 1.0]))[
        :, None, None
    ].astype(np.complex64)
    found, _, canvas = picture(library, patches, np.array([[0.0, 0.0], [200.0, 3.0]]))
    angles = [
        np.angle(found[-canvas.origin[1] + y, -canvas.origin[0] + x]) for x, y in ((0, 0), (200, 3))
    ]
    np.testing.assert_allclose(angles, [0.0, 1.0], atol=1e-5)


def test_memory_follows_the_area_not_the_number():
    _, positions, patches = scene()
    mosaic = Mosaic(N)
    for _ in range(3):
        mosaic.add(patches, positions, WEIGHT)
    once = Mosaic(N)
    once.add(patches, positions, WEIGHT)
    for each in (mosaic, once):
        each.merged(Canvas.covering(positions, N))
    assert mosaic._total.shape == once._total.shape


@pytest.mark.parametrize("block", [None, 40])
def test_the_object_does_not_depend_on_the_batches(library, block):
    _, positions, patches = scene()
    phases = np.random.default_rng(1).uniform(-np.pi, np.pi, (len(patches), 1, 1))
    turned = (patches * np.exp(1j * phases)).astype(np.complex64)
    found = [
        picture(library, turned, positions, batch=batch, block=block)[0]
        for batch in (1, 7, 64, len(patches))
    ]
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], rtol=0, atol=1e-5)


def test_weights_may_change_from_batch_to_batch(library):
    _, positions, patches = scene()
    mosaic, canvas = Mosaic(N), Canvas.covering(positions, N)
    for start, factor in ((0, 1.0), (5, 3.0)):
        part = slice(start, start + 5)
        mosaic.add(library.array(patches[part]), positions[part], library.array(factor * WEIGHT))
    assert not mosaic.empty
    _, weight = mosaic.merged(canvas)
    assert library.numpy(weight).sum() == pytest.approx(20 * WEIGHT.sum(), rel=1e-5)


def test_sheet_grows_with_the_scan(library):
    truth = random_cells((600, 40), radius=(4, 9), seed=3)
    positions = np.stack([np.full(290, 20.0), np.linspace(N, 600 - N - 1, 290)], axis=-1)
    patches = extract_patches(truth, positions, N)
    found, weight, canvas = picture(library, patches, positions, batch=20)
    lit = weight > 0.05
    assert complex_correlation(found[lit], on_canvas(truth, canvas)[lit]) > 0.999


def test_canvas_may_be_larger_than_what_was_added(library):
    _, positions, patches = scene()
    weight = library.array(WEIGHT)
    mosaic = Mosaic(N)
    mosaic.add(library.array(patches[:5]), positions[:5], weight)
    canvas = Canvas.covering(positions, N)
    total, coverage = (library.numpy(part) for part in mosaic.merged(canvas))
    assert total.shape == coverage.shape == canvas.shape
    assert coverage.sum() == pytest.approx(5 * WEIGHT.sum(), rel=1e-5)
