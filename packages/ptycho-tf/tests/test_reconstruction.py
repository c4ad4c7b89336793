import numpy as np
import pytest
from attrs import evolve
from ptycho_config import PyTorchExecutionConfig
from ptycho_physics import extract_patches
from ptycho_tf.bundles import bundle_of
from ptycho_tf.model import PtychoModel
from ptycho_tf.reconstruction import reconstruct

pytestmark = pytest.mark.usefixtures("tiny")


@pytest.fixture
def bundle(scan, training):
    """Make a bundle of an untrained network."""

    def make(scan=scan, **model):
        config = training(model, neighbor_count=4)
        made = PtychoModel(config.model, scan.probe)
        photons = scan.mean_photons()
        return bundle_of(
            made, config, photons=photons, domain="counts", history={}, overrides_applied={}
        )

    return make


def run(bundle, scan, config, progress=None, **fields):
    return reconstruct(bundle, scan, config, PyTorchExecutionConfig(**fields), progress=progress)


def test_the_solver_in_the_network_finds_the_object(scan, bundle, inference):
    seen = []
    result = run(
        bundle(architecture="unrolled"), scan, inference(), lambda *step: seen.append(step)
    )
    assert result.backend == "tensorflow"
    assert result.r_factor < 0.25
    assert seen[-1] == (48, 48)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert set(result.timings) == {"prepare", "read", "reconstruct", "score"}
    rec = result.reconstruction
    np.testing.assert_array_equal(rec.indices, np.arange(48))
    np.testing.assert_allclose(rec.positions + rec.origin, scan.positions)
    found = extract_patches(rec.object, rec.positions.astype(np.float32), 64)
    true = extract_patches(scan.object_guess, scan.positions, 64)
    light = (np.abs(scan.probe) ** 2).sum(0)
    inner = (found.conj() * true * light).sum()
    norms = (np.abs(found) ** 2 * light).sum() * (np.abs(true) ** 2 * light).sum()
    assert np.abs(inner) / np.sqrt(norms) > 0.9


def test_another_dose_gives_the_same_object(scan, bundle, inference):
    trained = bundle()
    bright = evolve(scan, diffraction=scan.diffraction * 4.0)
    one, four = (run(trained, s, inference()).reconstruction.object for s in (scan, bright))
    np.testing.assert_allclose(four, one, atol=1e-5)


def test_execution_settings_change_how_and_not_what(scan, bundle, inference):
    trained = bundle(gridsize=2)
    sizes, expected = [], run(trained, scan, inference(), inference_batch_size=5)
    for fields in ({"num_workers": 2, "prefetch_factor": 3}, {"pad_eval": True}):
        found = run(
            trained, scan, inference(), lambda done, _: sizes.append(done),
            inference_batch_size=5, **fields,
        )  # fmt: skip
        np.testing.assert_allclose(
            found.reconstruction.object, expected.reconstruction.object, atol=1e-6
        )
    assert sizes == [5, 10, 12] * 2


def test_padding_has_no_say_in_joint_stages(scan, bundle, inference):
    joint = bundle(architecture="unrolled", joint_stages=True)
    plain, padded = (
        run(joint, scan, inference(), inference_batch_size=11, pad_eval=pad).reconstruction
        for pad in (False, True)
    )
    np.testing.assert_array_equal(padded.object, plain.object)


def test_the_trim_leaves_the_rim_out(scan, bundle, inference):
    one = evolve(scan.select([0]), xcoords_start=None, ycoords_start=None)
    whole, trimmed = (run(bundle(), one, inference(), middle_trim=trim) for trim in (0, 20))
    assert np.count_nonzero(whole.reconstruction.coverage) >= 64**2
    lit = np.count_nonzero(trimmed.reconstruction.coverage)
    assert 20**2 <= lit <= 21**2


def test_asked_for_groups_only(scan, bundle, inference):
    rec = run(bundle(gridsize=2), scan, inference(n_groups=3)).reconstruction
    assert 4 <= len(rec.indices) <= 12


def test_few_patterns_are_remarked_on(scan, bundle, inference, caplog):
    run(bundle(), scan.select([10, 11]), inference())
    assert "only 2 patterns" in caplog.text


def test_another_size_is_refused_unless_the_network_takes_any(scan, bundle, inference):
    small = evolve(scan, diffraction=np.pad(scan.diffraction, ((0, 0), (32, 32), (32, 32))),
                   probe=np.pad(scan.probe, ((0, 0), (32, 32), (32, 32))))  # fmt: skip
    with pytest.raises(ValueError, match=r"must be 64, .* got 128"):
        run(bundle(), small, inference())
