import numpy as np
import pytest
import torch
from ptycho_config import ModelConfig
from ptycho_core.groups import ScanGroups
from ptycho_physics import extract_patches
from ptycho_torch.augmentation import synthetic_batch
from ptycho_torch.data import tensors
from ptycho_torch.model import PtychoModel
from ptycho_torch.overlap import agree


@pytest.mark.parametrize("seed", range(7))
def test_patches_still_agree_and_their_patterns_are_those_of_the_turned_object(scan, seed):
    model = PtychoModel(ModelConfig(architecture="unrolled", n_filters_scale=1), scan.probe)
    groups = np.arange(6)[:, np.newaxis]
    data = ScanGroups(scan=scan, groups=groups, photons=scan.mean_photons())
    batch = tensors(data.batch(groups[:, 0]))
    patches = extract_patches(scan.object_guess, scan.positions[groups], 64)
    # smooth ones: the row that mirroring takes from the other side then does not matter
    patches = torch.ones_like(torch.from_numpy(patches)) * (1 + 0.5j)
    made = synthetic_batch(model, batch, patches, seed)
    again = agree(patches, made["positions"].squeeze(-2), torch.ones(64, 64), made["canvas"])
    torch.testing.assert_close(again, patches)
    wanted = model.predict_counts(patches, batch["photons"])
    assert made["counts"].shape == batch["counts"].shape
    difference = (made["counts"] - wanted).sum(dim=(-2, -1)) / wanted.sum(dim=(-2, -1)).sqrt()
    assert difference.abs().max() < 6  # photon noise
    assert "apart" not in made
    truth = torch.randn_like(patches)
    with_truth = synthetic_batch(model, {**batch, "truth": truth}, truth, seed)
    expected = model.predict_counts(with_truth["truth"], batch["photons"])
    noise = (with_truth["counts"] - expected).square().sum() / expected.sum()
    assert noise.item() == pytest.approx(1, abs=0.1)
    apart = {**batch, "apart": 2 * batch["positions"]}
    turned_apart = synthetic_batch(model, apart, patches, seed)["apart"]
    between = [2 * (p - p[:1]) for p in (made["positions"], turned_apart / 2)]
    torch.testing.assert_close(*between, atol=1e-3, rtol=0)
    same = synthetic_batch(model, batch, patches, seed)
    torch.testing.assert_close(same["counts"], made["counts"])
