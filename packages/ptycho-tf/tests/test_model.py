import numpy as np
import pytest
from ptycho_config import ModelConfig
from ptycho_physics import (
    expected_counts,
    input_scale,
    inscribed_circle,
    prepare_probe,
    smoothing_envelope,
)
from ptycho_tf.frameworks import tf
from ptycho_tf.model import PtychoModel


@pytest.fixture
def model(tiny, scan):  # noqa: ARG001 - registers the architecture
    return PtychoModel(ModelConfig(architecture="tiny"), scan.probe, probe_trainable=True)


def test_the_probe_has_unit_power_and_its_mask(scan):
    plain = prepare_probe(scan.probe, 64)
    masked = prepare_probe(scan.probe, 64, masked=True)
    for probe in (plain, masked):
        assert np.linalg.norm(probe) == pytest.approx(1, rel=1e-5)
    assert masked[0, 0, 0] == 0
    with pytest.raises(ValueError, match="of 128 x 128 pixels, the N of the model, got 64 x 64"):
        prepare_probe(scan.probe, 128)


def test_a_changed_probe_keeps_unit_power(model):
    np.testing.assert_allclose(model.probe, model.scans[0].probe_start, atol=1e-7)
    model.scans[0].probe_change.assign(
        np.random.default_rng(0).normal(size=model.scans[0].probe_change.shape)
    )
    assert np.abs(model.probe - model.scans[0].probe_start).max() > 1e-3
    assert np.linalg.norm(model.probe) == pytest.approx(1, rel=1e-5)


def test_a_masked_probe_stays_in_its_circle(tiny, scan):  # noqa: ARG001 - registers the architecture
    config = ModelConfig(architecture="tiny", probe_mask=True)
    model = PtychoModel(config, scan.probe, probe_trainable=True)
    model.scans[0].probe_change.assign(np.ones(model.scans[0].probe_change.shape))
    probe = model.probe.numpy()
    assert np.abs(probe[:, ~inscribed_circle(64)]).max() == 0
    assert np.linalg.norm(probe) == pytest.approx(1, rel=1e-5)


def test_expected_counts_are_those_of_the_physics(model, scan):
    rng = np.random.default_rng(0)
    patches = (1 + 0.1 * rng.normal(size=(3, 64, 64))).astype(np.complex64)
    model.log_scale.assign(0.2)
    found = model.predict_counts(tf.constant(patches), 1e4).numpy()
    probe = scan.probe / np.linalg.norm(scan.probe)
    expected = expected_counts(patches, probe, 1e4 * np.exp(0.4))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * expected.max())


def test_smoothing_dims_high_frequencies_only():
    assert (smoothing_envelope(64, 0.0) == 1).all()
    envelope = smoothing_envelope(64, 1.0)
    assert envelope[32, 32] == 1
    assert envelope[0, 32] == pytest.approx(np.exp(-(np.pi**2)), rel=1e-4)


def test_a_model_is_traced_once_for_all_batches(model, patterns):
    @tf.function(
        input_signature=[
            tf.TensorSpec((None, 64, 64, 1)),
            tf.TensorSpec((None, 1, 2, 1)),
            tf.TensorSpec((2,), tf.int32),
        ],
        autograph=False,
    )
    def rate(x, positions, canvas):
        return model(x, positions, canvas, photons=tf.constant(1e5))[1]

    x, positions, *_ = patterns(1)
    for count, canvas in ((3, (124, 128)), (2, (160, 150))):
        found = rate(x[:count], positions[:count], np.array(canvas, np.int32))
        assert found.shape == (count, 64, 64, 1)
        assert float(tf.reduce_mean(found)) == pytest.approx(1e5 / 64**2, rel=0.2)
    assert rate.experimental_get_tracing_count() == 1


def test_input_is_of_order_one(scan):
    x = np.sqrt(scan.counts()) * input_scale(scan.mean_photons(), 64)
    assert np.mean(x**2) == pytest.approx(1 / 4, rel=1e-3)
