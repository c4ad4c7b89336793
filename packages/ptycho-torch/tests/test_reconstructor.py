import numpy as np
import pytest
import torch
from attrs import evolve
from ptycho_data import save_bundle
from ptycho_physics import Canvas
from ptycho_torch import Reconstructor
from ptycho_torch.bundles import bundle_of
from ptycho_torch.model import PtychoModel
from ptycho_torch.reconstruction import reconstruct

BATCHES = np.array_split(np.arange(48), 7)

# Each patch takes the phase of what lies there already: that depends a little on the batches.
SETTLED = 0.03


@pytest.fixture
def bundle(scan, training):
    config = training({"architecture": "unrolled"})
    return bundle_of(
        PtychoModel(config.model, scan.probe),
        config,
        photons=scan.mean_photons(),
        domain="counts",
        history={},
        overrides_applied={},
    )


@pytest.fixture
def whole(bundle, scan, inference, execution):
    return reconstruct(bundle, scan, inference(), execution()).reconstruction


def fed(live, scan, batches=BATCHES):
    for batch in batches:
        live.add(scan.diffraction[batch], scan.positions[batch])
    return live


def test_batch_by_batch_is_the_whole_scan(bundle, scan, whole):
    live = fed(Reconstructor(bundle, photons=scan.mean_photons()), scan)
    assert live.count == scan.n
    assert live.canvas == Canvas.covering(scan.positions, 64)
    np.testing.assert_allclose(live.object, whole.object, atol=SETTLED)
    np.testing.assert_allclose(live.coverage, whole.coverage, atol=1e-4)


def test_the_canvas_grows_and_keeps_what_it_has(bundle, scan, whole):
    live = Reconstructor(bundle, photons=scan.mean_photons())
    order = np.argsort(-scan.xcoords)  # to the left: the origin moves
    for batch in np.array_split(order, 6):
        live.add(scan.diffraction[batch], scan.positions[batch])
        seen = Canvas.covering(scan.positions[order[: live.count]], 64)
        assert live.canvas == seen
        assert live.object.shape == live.coverage.shape == seen.shape
    np.testing.assert_allclose(live.object, whole.object, atol=SETTLED)


def test_without_photons_the_scale_settles_with_the_batches(bundle, scan, whole):
    live = fed(Reconstructor(bundle), scan)
    lit = whole.coverage > 0.1 * whole.coverage.max()
    np.testing.assert_allclose(live.object[lit], whole.object[lit], atol=2 * SETTLED)
    brightness = np.linalg.norm(live.object[lit]) / np.linalg.norm(whole.object[lit])
    assert brightness == pytest.approx(1, abs=2e-3)


def test_the_result_can_be_saved(bundle, scan, whole):
    rec = fed(Reconstructor(bundle, photons=scan.mean_photons()), scan).result()
    np.testing.assert_allclose(rec.positions + rec.origin, scan.positions)
    np.testing.assert_allclose(rec.object, whole.object, atol=SETTLED)


def test_amplitudes_and_tensors_of_any_type_do_as_well(bundle, scan, whole):
    photons = scan.mean_photons()
    amplitude = evolve(scan, diffraction=np.sqrt(scan.diffraction), domain="amplitude")
    live = fed(Reconstructor(bundle, photons=photons, domain="amplitude"), amplitude)
    np.testing.assert_allclose(live.object, whole.object, atol=SETTLED)
    unsigned = evolve(scan, diffraction=scan.diffraction.astype(np.uint16))
    live = fed(Reconstructor(bundle, photons=photons), unsigned)
    np.testing.assert_allclose(live.object, whole.object, atol=SETTLED)
    live = Reconstructor(bundle, photons=photons)
    live.add(torch.from_numpy(scan.diffraction), scan.positions)
    np.testing.assert_allclose(live.object, whole.object, atol=SETTLED)


def test_what_bad_pixels_hold_does_not_matter(bundle, scan):
    bad = np.zeros((64, 64), dtype=bool)
    bad[30:33, 10:40] = True
    spoilt = scan.diffraction.copy()
    spoilt[:, bad] = 1e6
    clean, live = (Reconstructor(bundle, bad_pixels=bad) for _ in range(2))
    fed(clean, scan)
    fed(live, evolve(scan, diffraction=spoilt))
    np.testing.assert_allclose(live.object, clean.object, atol=SETTLED)


def test_a_bundle_is_taken_from_a_file_and_a_probe_from_the_caller(bundle, scan, tmp_path):
    path = save_bundle(tmp_path / "model.zip", bundle)
    live = Reconstructor(path, probe=3 * scan.probe)
    given = scan.probe / np.linalg.norm(scan.probe)
    np.testing.assert_allclose(live.model.probe.numpy(), given, atol=1e-6)


@pytest.mark.parametrize(
    ("patterns", "positions", "message"),
    [
        (np.ones((2, 32, 32)), np.zeros((2, 2)), r"patterns: shape \(k, 64, 64\) expected"),
        (np.ones((64, 64)), np.zeros((1, 2)), r"found \(64, 64\)"),
        (np.ones((2, 64, 64)), np.zeros((3, 2)), r"positions: finite \(x, y\) of 2 patterns"),
        (np.ones((1, 64, 64)), np.array([[np.nan, 0]]), "with NaN or infinity"),
        (np.zeros((1, 64, 64)), np.zeros((1, 2)), "some light expected in the first batch"),
        (np.ones((2, 64, 64)), np.array([[0.0, 0], [1e9, 1e9]]), "are they in another unit"),
    ],
)
def test_a_batch_that_cannot_be_is_refused(bundle, patterns, positions, message):
    with pytest.raises(ValueError, match=message):
        Reconstructor(bundle).add(patterns, positions)


def test_groups_need_enough_patterns(scan, training):
    config = training({"gridsize": 2})
    bundle = bundle_of(
        PtychoModel(config.model, scan.probe),
        config,
        photons=1.0,
        domain="counts",
        history={},
        overrides_applied={},
    )
    live = Reconstructor(bundle)
    with pytest.raises(ValueError, match="groups of 4 patterns need as many, found 3"):
        live.add(scan.diffraction[:3], scan.positions[:3])
    live.add(scan.diffraction[:6], scan.positions[:6])
    assert live.count == 6
    assert np.isfinite(live.object).all()
