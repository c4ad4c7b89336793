"""Training, saving and loading through the calls of an application."""

import json
import logging
import pickle
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from ptycho import model_manager, params
from ptycho.config.config import ModelConfig, TrainingConfig
from ptycho.raw_data import RawData
from ptycho.workflows.components import load_inference_bundle, run_cdi_example, save_outputs
from ptycho_config import ConfigError, InvalidValueError
from ptycho_config.errors import MissingPackageError
from ptycho_data import BundleError, load_reconstruction


def test_exactly_three_results(trained):
    found = trained.results["reconstruction"]
    np.testing.assert_array_equal(trained.amplitude, np.abs(found.object))
    np.testing.assert_array_equal(trained.phase, np.angle(found.object))
    assert len(found.indices) == 36
    assert len(trained.results["history"]["train_loss"]) == 2
    assert trained.results["backend"] == "pytorch"


def test_each_epoch_is_in_the_log(trained):
    lines = [line for line in trained.log if line.startswith("epoch ")]
    assert len(lines) == 2
    assert all("train_loss" in line for line in lines)
    assert "training with pytorch on 36 patterns: pinn, unrolled, gridsize 2" in trained.log


def test_the_bundle_says_how_it_was_made(trained):
    bundle = trained.bundle
    assert bundle.config["model"]["N"] == 64
    assert bundle.config["model"]["gridsize"] == 2
    assert "output_dir" not in bundle.config
    assert bundle.overrides_applied["N"] == {"value": 64, "origin": "data"}
    assert bundle.overrides_applied["nepochs"] == {"value": 2, "origin": "override"}
    assert bundle.overrides_applied["learning_rate"]["origin"] == "network"
    assert "ptychopinn-" not in json.dumps([bundle.config, bundle.overrides_applied])


def test_supervised_without_a_test_scan(arrays, settings_for):
    arrays = {**arrays, "objectGuess": arrays["objectGuess"] * 2}
    config = settings_for()
    config.model.model_type = "supervised"
    amplitude, phase, _ = run_cdi_example(RawData.from_coords_without_pc(**arrays), None, config)
    assert amplitude.shape == phase.shape
    assert model_manager._trained.config["model"]["model_type"] == "supervised"
    assert params.get("intensity_scale") > 0


def test_no_path_is_touched(raw, settings_for, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_cdi_example(raw, None, settings_for())
    assert not list(tmp_path.iterdir())


def test_mistakes_in_the_settings_are_told_together(raw):
    model = ModelConfig(N=64, gridsize=9, amp_activation="tanh")
    config = TrainingConfig(model=model, batch_size=0)
    with pytest.raises(ConfigError) as caught:
        run_cdi_example(raw, None, config)
    assert {problem.split(" ")[0] for problem in caught.value.problems} == {
        "gridsize",
        "amp_activation",
        "batch_size",
    }


def test_another_size_is_named(raw, settings_for):
    config = settings_for()
    config.model.N = 128
    with pytest.raises(ConfigError) as caught:
        run_cdi_example(raw, None, config)
    assert caught.value.names == ("N",)


def test_a_test_scan_of_another_size(raw, settings_for):
    rng = np.random.default_rng(0)
    other = RawData.from_coords_without_pc(
        *rng.uniform(64, 80, (2, 5)), rng.poisson(3, (5, 128, 128)), np.ones((128, 128), complex)
    )
    with pytest.raises(InvalidValueError) as caught:
        run_cdi_example(raw, other, settings_for())
    assert caught.value.name == "N of test_data"


def test_supervised_training_needs_a_truth(arrays, settings_for):
    config = settings_for()
    config.model.model_type = "supervised"
    raw = RawData.from_coords_without_pc(**{**arrays, "objectGuess": None})
    with pytest.raises(InvalidValueError) as refused:
        run_cdi_example(raw, None, config)
    assert refused.value.name.startswith("objectGuess or Y")


def unpack(folder):
    """Leave the bare members, as an application that unpacks the archive itself."""
    with zipfile.ZipFile(folder / "wts.h5.zip") as archive:
        archive.extractall(folder / "bare")
    return folder / "bare"


@pytest.mark.parametrize("shape", [lambda f: f, lambda f: f / "wts.h5.zip", unpack])
def test_a_bundle_in_each_shape(bundle_folder, trained, shape):
    model, config = load_inference_bundle(shape(bundle_folder))
    assert params.get("intensity_scale") == trained.bundle.scaling["intensity_scale"]
    assert config.model.gridsize == 2
    assert model.backend == "pytorch"
    np.testing.assert_array_equal(model.bundle.probe, trained.bundle.probe)


def test_results_are_written_beside_the_bundle(trained, tmp_path):
    (tmp_path / "product.h5").write_bytes(b"of the application")
    for _ in range(2):  # a second training replaces the first
        save_outputs(trained.amplitude, trained.phase, trained.results, str(tmp_path))
    found = load_reconstruction(tmp_path / "reconstruction.npz")
    np.testing.assert_array_equal(np.abs(found.object), trained.amplitude)
    assert {path.name for path in tmp_path.iterdir()} == {
        "product.h5",
        "reconstruction.npz",
        "reconstructed_amplitude.png",
        "reconstructed_phase.png",
    }
    assert (tmp_path / "product.h5").read_bytes() == b"of the application"


def test_without_matplotlib_there_are_no_pictures(trained, tmp_path, monkeypatch, caplog):
    def missing(*_, **__):
        raise MissingPackageError("pictures need matplotlib")

    monkeypatch.setattr("ptycho.workflows.components.write_pictures", missing)
    save_outputs(trained.amplitude, trained.phase, trained.results, str(tmp_path))
    assert "no pictures: pictures need matplotlib" in caplog.text
    assert (tmp_path / "reconstruction.npz").exists()


class Bomb:
    """Fails the test when it is unpickled."""

    def __reduce__(self):
        return pytest.fail, ("was unpickled",)


@pytest.mark.parametrize("packed", [True, False])
def test_bundles_of_old_are_refused_by_name(tmp_path, packed):
    members = {"manifest.dill": pickle.dumps(Bomb()), "params.dill": pickle.dumps(Bomb())}
    if packed:
        with zipfile.ZipFile(tmp_path / "wts.h5.zip", "w") as archive:
            for name, data in members.items():
                archive.writestr(name, data)
    else:
        for name, data in members.items():
            (tmp_path / name).write_bytes(data)
    with pytest.raises(BundleError, match=r"pickled models of an older system.*train again"):
        load_inference_bundle(tmp_path)
    assert "intensity_scale" not in params.cfg


def test_no_bundle(tmp_path):
    with pytest.raises(BundleError, match="no bundle here"):
        load_inference_bundle(tmp_path)


def test_a_bundle_is_run_by_its_backend(bundle_folder, monkeypatch, caplog):
    monkeypatch.delenv("PTYCHO_BACKEND")
    with caplog.at_level(logging.INFO):
        assert load_inference_bundle(bundle_folder)[0].backend == "pytorch"
    assert "pinn model of gridsize 2, trained with pytorch, running with pytorch" in caplog.text


def test_older_callers_find_two_modules_unimported():
    code = (
        "import ptycho, ptycho.workflows.components as c, sys;"
        "print('probe' in vars(ptycho), 'tf_helper' in vars(ptycho),"
        "      bool({'torch', 'tensorflow', 'keras', 'lightning'} & set(sys.modules)))"
    )
    done = subprocess.run(  # noqa: S603  our own interpreter, a constant program
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["True", "True", "False"]
