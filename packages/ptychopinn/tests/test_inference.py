import attrs
import numpy as np
import pytest
from ptycho import loader, params
from ptycho.grouped import Selection
from ptycho.raw_data import RawData
from ptycho.tf_helper import reassemble_position
from ptycho.workflows.components import load_inference_bundle
from ptycho_config import InferenceConfig, InvalidValueError, PyTorchExecutionConfig
from ptycho_core.backends import require

N = 64


def predicted(model, raw, *, gridsize=2, **options):
    grouped = raw.generate_grouped_data(N, gridsize=gridsize, **options)
    container = loader.load(lambda: grouped, raw.probeGuess)
    return model.predict([container.X * params.get("intensity_scale"), container.local_offsets])


@pytest.fixture
def model(bundle_folder):
    return load_inference_bundle(bundle_folder)[0]


def test_the_object_is_that_of_the_backend(model, raw):
    """What ``ptycho infer`` calls, pixel by pixel: probe-weighted stitching of the whole scan."""
    found = predicted(model, raw, K=7)
    config, execution = InferenceConfig(neighbor_count=7), PyTorchExecutionConfig()
    expected = require("pytorch").reconstruct(model.bundle, raw.scan, config, execution)
    rec = expected.reconstruction
    np.testing.assert_allclose(found.reconstruction.object, rec.object, atol=1e-5)
    placed = reassemble_position(found, None)
    assert placed.shape == raw.objectGuess.shape
    x, y = rec.origin
    height, width = rec.object.shape
    np.testing.assert_allclose(
        placed[max(0, y) : y + height, max(0, x) : x + width],
        rec.object[max(0, -y) :, max(0, -x) :][: 90 - max(0, y), : 102 - max(0, x)],
        atol=1e-5,
    )


def test_the_factor_does_not_matter(model, raw):
    grouped = raw.generate_grouped_data(N, gridsize=2)
    container = loader.load(lambda: grouped, raw.probeGuess)
    one, other = (
        model.predict([container.X * k, container.local_offsets]).reconstruction.object
        for k in (1.0, 77.0)
    )
    np.testing.assert_array_equal(one, other)


def test_several_samples_are_averaged_by_coverage(model, raw):
    one = predicted(model, raw, K=8).reconstruction
    three = predicted(model, raw, K=8, nsamples=3).reconstruction
    np.testing.assert_allclose(three.coverage, 3 * one.coverage, rtol=1e-3, atol=1e-3)
    assert np.abs(three.object - one.object).max() > 1e-4
    lit = one.coverage > 0.2 * one.coverage.max()
    assert np.abs(three.object - one.object)[lit].mean() < 0.1


def test_another_gridsize_is_adapted_and_told(model, raw, caplog):
    found = predicted(model, raw, gridsize=1).reconstruction
    assert "gridsize: the settings say 1, the model was trained with 2" in caplog.text
    assert len(found.indices) == raw.scan.n


@pytest.fixture
def of_another_size():
    rng = np.random.default_rng(0)
    raw = RawData.from_coords_without_pc(
        xcoords=rng.uniform(64, 80, 5),
        ycoords=rng.uniform(64, 80, 5),
        diff3d=rng.poisson(3, (5, 128, 128)),
        probeGuess=np.ones((128, 128), complex),
    )
    grouped = raw.generate_grouped_data(128, gridsize=2)
    return loader.load(lambda: grouped, raw.probeGuess)


def test_another_size_is_adapted_to_and_told(model, of_another_size, caplog):
    found = model.predict([of_another_size.X, of_another_size.local_offsets])
    assert found.reconstruction.N == 128
    assert "N: the model was trained with 64 pixels, the patterns have 128" in caplog.text


def test_where_a_network_has_one_size_both_are_named(model, of_another_size):
    settings = model.bundle.config
    config = {**settings, "model": {**settings["model"], "architecture": "cnn"}}
    model = attrs.evolve(model, bundle=attrs.evolve(model.bundle, config=config))
    with pytest.raises(InvalidValueError) as caught:
        model.predict([of_another_size.X, of_another_size.local_offsets])
    assert caught.value.name.startswith("N of ")


def test_only_our_input_can_be_used(model):
    with pytest.raises(TypeError, match="got ndarray"):
        model.predict([np.ones((3, N, N, 1)), np.zeros((3, 1, 2, 1))])
    with pytest.raises(TypeError, match="got NoneType"):
        model.predict([])


def test_a_selection_draws_around_every_pattern(raw):
    groups = Selection(gridsize=2, neighbor_count=4).groups(raw.scan)
    assert groups[:, 0].tolist() == list(range(raw.scan.n))
