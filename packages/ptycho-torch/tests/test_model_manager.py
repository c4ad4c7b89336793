import numpy as np
import pytest
import torch
from ptycho_config import ConfigError, InvalidValueError
from ptycho_physics import input_scale
from ptycho_torch.illumination import prepare_probe
from ptycho_torch.model import PtychoModel
from ptycho_torch.model_manager import (
    create_torch_model_with_gridsize,
    load_torch_bundle,
    models_of,
    save_torch_bundle,
)


@pytest.fixture
def core(scan, training):
    return PtychoModel(training({"gridsize": 2}).model, scan.probe)


@pytest.fixture
def batch(scan):
    indices = np.arange(12).reshape(3, 4)
    counts = torch.from_numpy(scan.counts(indices.ravel())).reshape(3, 4, 64, 64)
    positions = torch.from_numpy(scan.positions[indices].astype(np.float32)).unsqueeze(-2)
    return counts, positions, input_scale(scan.mean_photons(), 64)


def test_shapes_and_types_are_those_of_the_contract(core, batch):
    counts, positions, scale = batch
    models = models_of(core, scale)
    with torch.no_grad():
        patches = models["diffraction_to_obj"](counts.sqrt(), positions)
        agreed, amplitude, intensity = models["autoencoder"](counts.sqrt(), positions)
    assert patches.shape == agreed.shape == amplitude.shape == intensity.shape == (3, 4, 64, 64)
    assert patches.dtype == agreed.dtype == torch.complex64
    torch.testing.assert_close(amplitude**2, intensity, atol=1e-2, rtol=1e-3)


def test_predicted_counts_are_those_measured_whatever_the_dose(core, batch):
    counts, positions, scale = batch
    model = models_of(core)["autoencoder"]
    with torch.no_grad():
        for dose in (1.0, 100.0):
            found = model((dose * counts).sqrt(), positions, probe=None, scale=scale / dose**0.5)
            misfit = (found[1] - (dose * counts).sqrt()).abs().sum() / (dose * counts).sqrt().sum()
            assert misfit < 0.5
            assert float(found[2].sum() / (dose * counts).sum()) == pytest.approx(1, abs=0.2)


def test_another_probe_of_any_power_and_kind_is_taken(core, batch, scan):
    counts, positions, scale = batch
    model = models_of(core, scale)["diffraction_to_obj"]
    own = prepare_probe(scan.probe, core.config)
    with torch.no_grad():
        expected = model(counts.sqrt(), positions)
        for probe in (3 * scan.probe, scan.probe[0], own):
            torch.testing.assert_close(
                model(counts.sqrt(), positions, probe), expected, atol=1e-4, rtol=1e-4
            )
        other = model(counts.sqrt(), positions, np.roll(scan.probe, 5, axis=-1))
    assert float((other - expected).abs().max()) > 0.01


def test_a_saved_bundle_is_loaded_as_it_was(core, batch, training, tmp_path):
    counts, positions, scale = batch
    torch.nn.init.constant_(core.log_scale, 0.1)
    models = models_of(core, scale)
    path = save_torch_bundle(models, tmp_path / "wts.h5", training({"gridsize": 2}))
    assert path == tmp_path / "wts.h5.zip"
    for place in (path, tmp_path, tmp_path / "wts.h5"):
        loaded, params = load_torch_bundle(place)
    assert set(loaded) == {"autoencoder", "diffraction_to_obj"}
    assert not any(model.training for model in loaded.values())
    with torch.no_grad():
        for one, other in zip(
            models["autoencoder"](counts.sqrt(), positions),
            loaded["autoencoder"](counts.sqrt(), positions),
            strict=True,
        ):
            torch.testing.assert_close(one, other, atol=1e-3, rtol=1e-3)
    assert (params["gridsize"], params["N"]) == (2, 64)
    assert params["intensity_scale"] == pytest.approx(np.exp(0.1) / scale)
    save_torch_bundle(models, tmp_path / "b", training(), intensity_scale=7.0)
    assert load_torch_bundle(tmp_path / "b")[1]["intensity_scale"] == pytest.approx(7)


def test_one_model_may_be_asked_for(core, training, tmp_path):
    save_torch_bundle(models_of(core), tmp_path, training({"gridsize": 2}))
    models, _ = load_torch_bundle(tmp_path, "diffraction_to_obj")
    assert list(models) == ["diffraction_to_obj"]
    with pytest.raises(InvalidValueError) as caught:
        load_torch_bundle(tmp_path, "decoder")
    assert caught.value.name == "model_name"
    with pytest.raises(InvalidValueError) as caught:
        save_torch_bundle(models, tmp_path, training())
    assert caught.value.name == "models"


def test_an_untrained_model_has_the_channels_of_its_gridsize():
    model = create_torch_model_with_gridsize(2, 64, {"architecture": "cnn", "n_filters_scale": 1})
    first = next(m for m in model.modules() if isinstance(m, torch.nn.Conv2d))
    assert first.in_channels == 2 * 4  # as they are, and as they depart from the empty beam
    with pytest.raises(ConfigError, match="architektur"):
        create_torch_model_with_gridsize(1, 64, {"architektur": "cnn"})
