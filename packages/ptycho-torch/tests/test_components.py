import numpy as np
import pytest
from ptycho_config.params import cfg
from ptycho_data import save_scan
from ptycho_torch.workflows.components import load_inference_bundle_torch, run_cdi_example_torch


@pytest.fixture(autouse=True)
def params_as_they_were():
    before = dict(cfg)
    yield
    cfg.clear()
    cfg.update(before)


def test_training_and_reconstruction_in_one_call(scan, training, execution, tmp_path):
    config = training(nepochs=1, n_groups=16)
    amplitude, phase, results = run_cdi_example_torch(
        scan, None, config, execution_config=execution(), output_dir=tmp_path / "model"
    )
    object_ = results["reconstruction"].object
    np.testing.assert_allclose(amplitude * np.exp(1j * phase), object_, rtol=0, atol=1e-5)
    assert amplitude.dtype == phase.dtype == np.float32
    assert results["backend"] == "pytorch"
    assert len(results["history"]["train_loss"]) == 1
    models, params = load_inference_bundle_torch(tmp_path / "model")
    assert set(models) == {"autoencoder", "diffraction_to_obj"}
    assert cfg["intensity_scale"] == params["intensity_scale"] > 0


def test_scans_from_files_and_holders_and_no_stitching(scan, training, execution, tmp_path):
    class Holder:
        pass

    holder = Holder()
    holder.scan = scan
    path = tmp_path / "test.npz"
    save_scan(path, scan.select(np.arange(20)))
    config = training(nepochs=1, n_groups=8)
    amplitude, phase, results = run_cdi_example_torch(
        holder,
        path,
        config,
        do_stitching=False,
        execution_config=execution(),
        output_dir=tmp_path / "model",
    )
    assert amplitude is phase is None
    assert "val_loss" in results["history"]
    assert "reconstruction" not in results
    with pytest.raises(TypeError, match="train_data: a Scan, an object with one"):
        run_cdi_example_torch(3, None, config)
