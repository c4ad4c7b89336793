import numpy as np
import pytest
import torch
from ptycho_core.groups import canvas_for
from ptycho_physics import Canvas, extract_patches, random_cells
from ptycho_torch.canvas import GrowingCanvas


def test_a_canvas_is_refused_that_no_memory_holds():
    near = np.array([[0.0, 3.0], [50.0, 60.5]])
    assert canvas_for(near, 64) == Canvas.covering(near, 64)
    for far in (1e8, 1e300):
        with pytest.raises(ValueError, match="must be pixels of the object grid"):
            canvas_for(np.array([[0.0, 0.0], [far, far]]), 64)


@pytest.mark.parametrize("seed", range(3))
def test_growing_step_by_step_is_the_same_as_knowing_all_before(seed):
    rng = np.random.default_rng(seed)
    positions = rng.uniform(-80, 80, (30, 2))
    truth = random_cells((200, 200), radius=(6, 12), seed=seed)
    patches = torch.from_numpy(extract_patches(truth, positions + 100, 8))
    weight = torch.from_numpy(rng.uniform(0.1, 1, (8, 8))).float()
    grown, known = (GrowingCanvas(8, torch.device("cpu")) for _ in range(2))
    known.reserve(positions)
    known.add(patches, positions, weight)
    for k in range(30):
        grown.add(patches[k : k + 1], positions[k : k + 1], weight)
        assert grown.canvas == Canvas.covering(positions[: k + 1], 8)
    for one, other in zip(grown.result(), known.result(), strict=True):
        assert one.shape == grown.canvas.shape
        torch.testing.assert_close(one, other, atol=2e-4, rtol=2e-4)


def test_unlit_places_are_one():
    sheet = GrowingCanvas(4, torch.device("cpu"))
    patches = torch.full((2, 4, 4), 2 + 0j, dtype=torch.complex64)
    sheet.add(patches, np.array([[2.0, 2.0], [12.0, 2.0]]), torch.ones(4, 4))
    object_, coverage = sheet.result()
    assert object_.shape == (4, 14)
    assert (object_[coverage > 0] == 2).all()
    assert (object_[coverage == 0] == 1).all()
    assert (coverage > 0).sum() == 32


def test_phases_of_patches_and_of_processes_do_not_matter():
    rng = np.random.default_rng(0)
    positions = rng.uniform(-20, 20, (60, 2))
    truth = random_cells((80, 80), radius=(6, 12), seed=0)
    patches = torch.from_numpy(extract_patches(truth, positions + 40, 16))
    weight = torch.ones(16, 16)
    turned = patches * torch.polar(torch.ones(60), 6 * torch.rand(60))[:, None, None]
    whole, one, two = (GrowingCanvas(16, torch.device("cpu")) for _ in range(3))
    for sheet in (whole, one, two):
        sheet.reserve(positions)
    whole.add(patches, positions, weight)
    one.add(turned[:30], positions[:30], weight)
    two.add(turned[30:], positions[30:], weight)
    parts = zip(one._merged(), two._merged(), strict=True)
    one.join(lambda _: torch.stack(next(parts)))
    (wanted, coverage), (found, other) = whole.result(), one.result()
    torch.testing.assert_close(other, coverage, atol=1e-3, rtol=1e-3)
    both = coverage > 0
    overlap = (wanted[both].conj() * found[both]).sum().abs()
    assert overlap > 0.98 * wanted[both].norm() * found[both].norm()
