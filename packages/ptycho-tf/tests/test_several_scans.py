"""Several scans in one training, each with optics of its own, and positions that move."""

import numpy as np
import pytest
from attrs import evolve
from ptycho_core.training_data import gather
from ptycho_data import load_bundle
from ptycho_physics import defocused_probe
from ptycho_tf.data import channels_last_batch
from ptycho_tf.frameworks import tf
from ptycho_tf.learning import LearningModel
from ptycho_tf.training import _model


@pytest.fixture
def other_scan(scan):
    """The sample at another dose, with two modes, half as many patterns and a bad pixel."""
    half = scan.select(np.arange(0, scan.n, 2))
    probe = np.concatenate([np.roll(scan.probe, 3, axis=-1), 0.2 * scan.probe])
    bad = np.zeros((64, 64), dtype=bool)
    bad[10, 12] = True
    return evolve(half, probe=probe, diffraction=4 * half.diffraction, bad_pixels=bad)


@pytest.fixture
def learning(tiny, training, execution):  # noqa: ARG001 - registers the architecture
    def make(scans, **settings):
        config = training({"object_big": True}, **settings)
        data = gather(scans, None, config)
        return LearningModel(_model(data, config, "32-true"), config, execution()), data

    return make


def batch_of(part):
    batch = channels_last_batch(part.batch(np.arange(6))) | {"update": True}
    return {name: tf.constant(value) for name, value in batch.items()}


def test_each_scan_has_its_own_probe_and_bad_pixels(learning, scan, other_scan):
    model, data = learning([scan, other_scan])
    model = model.model
    for part, own in zip(data.train, (scan, other_scan), strict=True):
        with model.using(batch_of(part)):
            probe, bad = model.probe.numpy(), model.bad_pixels.numpy()
        modes = len(own.probe)
        np.testing.assert_allclose(probe[:modes], own.probe / np.linalg.norm(own.probe), atol=1e-6)
        assert not probe[modes:].any()
        assert bad.sum() == (0 if own.bad_pixels is None else 1)


def test_a_batch_trains_the_probe_of_its_scan_alone(learning, scan, other_scan):
    model, data = learning([scan, other_scan], probe_trainable=True)
    changes = model.model.probe_changes()
    with tf.GradientTape() as tape:
        loss = model.terms(batch_of(data.train[1]))["nll"]
    first, second = (
        np.abs(slope).max(axis=(1, 2, 3))
        for slope in tape.gradient(loss, [change.value for change in changes])
    )
    assert first.max() == 0
    assert (second > 0).all()


def test_positions_have_the_gradient_of_the_loss(learning, scan):
    model, data = learning([scan], positions_trainable=True)
    (shifts,) = model.model.position_shifts()
    batch = batch_of(data.train[0])
    shifts.assign(tf.random.stateless_uniform(shifts.shape, [1, 2], 0.3, 0.6))

    def loss():
        return model.terms(batch)["nll"]

    with tf.GradientTape() as tape:
        value = loss()
    slope = tape.gradient(value, shifts.value)
    slope = tf.convert_to_tensor(slope).numpy()
    used = data.train[0].groups[:6].ravel()
    assert np.abs(slope[used]).max() > 0
    assert not slope[np.setdiff1d(np.arange(scan.n), used)].any()
    direction, start, step = slope / np.linalg.norm(slope), shifts.numpy(), 0.02
    values = []
    for sign in (1, -1):
        shifts.assign(start + sign * step * direction)
        values.append(float(loss()))
    assert (values[0] - values[1]) / (2 * step) == pytest.approx(np.linalg.norm(slope), rel=0.1)


def test_several_scans_are_trained_on_and_recorded(
    train,
    tiny,  # noqa: ARG001 - registers the architecture
    scan,
    other_scan,
    training,
    execution,
):
    config = training(nepochs=1, n_groups=16, probe_trainable=True, positions_trainable=True)
    result = train([scan, other_scan], config, execution())
    first, second = load_bundle(result.bundle_path).scaling["scans"]
    assert (first["patterns"], second["patterns"]) == (scan.n, other_scan.n)
    assert second["photons"] == pytest.approx(4 * first["photons"], rel=0.1)
    files = sorted((result.bundle_path.parent / "refined").iterdir())
    assert [path.name for path in files] == ["1-scan.npz", "2-scan.npz"]
    for path, own in zip(files, (scan, other_scan), strict=True):
        refined = np.load(path)
        assert refined["probe"].shape == own.probe.shape
        assert 1e-5 < np.abs(refined["offsets"]).max() < 4
        np.testing.assert_allclose(refined["xcoords"] - own.xcoords, refined["offsets"][:, 0])


def test_a_wrong_probe_of_one_scan_is_felt(train, tiny, scan, training, execution):  # noqa: ARG001
    config = training(nepochs=1)
    right = train([scan, scan], config, execution(), overwrite=True).history["train_loss"][0]
    wrong = evolve(scan, probe=defocused_probe(64, 20))
    mixed = train([scan, wrong], config, execution(), overwrite=True).history["train_loss"][0]
    assert mixed != right
