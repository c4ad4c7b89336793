"""ptychodus' own classes drive training and reconstruction, each in a process of its own."""

import logging
import shutil
import zipfile
from itertools import product

import numpy as np
import pytest
from ptycho_physics.metrics import shift_image
from ptychodus.api.io import load_product, save_product

log = logging.getLogger(__name__)

SOON = {("pytorch", "PINN", 1), ("pytorch", "Supervised", 2), ("tensorflow", "Supervised", 1)}
# PINN of the other gridsizes is for the batch mode; what is slow completes the table of the docs.
CONFIGURATIONS = [
    pytest.param(*values, marks=[] if values in SOON else pytest.mark.slow)
    for values in product(("pytorch", "tensorflow"), ("PINN", "Supervised"), (1, 2))
]


@pytest.fixture
def training_data(experiment, tmp_path, reconstructor):
    """Folder with what the reconstructor exports."""
    folder = tmp_path / "in"
    folder.mkdir()
    reconstructor("PINN", 1).export_training_data(folder / "train_data.npz", experiment.input)
    shutil.copy(folder / "train_data.npz", folder / "test_data.npz")
    return folder


@pytest.mark.parametrize(("backend", "name", "gridsize"), CONFIGURATIONS)
def test_train_save_load_reconstruct(
    backend, name, gridsize, experiment, training_data, reconstructor, quality, tmp_path,
    epochs, monkeypatch, caplog
):  # fmt: skip
    monkeypatch.setenv("PTYCHO_BACKEND", backend)
    out = tmp_path / "out"
    out.mkdir()
    caplog.set_level(logging.INFO)
    trainer = reconstructor(name, gridsize)
    assert len(list(trainer.train(training_data, out))) == 1
    told = [r.message for r in caplog.records if r.message.startswith("epoch ")]
    assert len(told) == epochs[gridsize], "losses reach the user by the log alone"
    trainer.save_model(tmp_path / "model.zip")
    assert "manifest.json" in zipfile.ZipFile(tmp_path / "model.zip").namelist()

    user = reconstructor(name, gridsize)
    user.load_model_from_file(tmp_path / "model.zip")
    (output,) = user.reconstruct(experiment.input)
    save_product(tmp_path / "product.h5", output.product)
    found = load_product(tmp_path / "product.h5").object_
    assert found.get_geometry() == experiment.product.object_.get_geometry()
    result = quality(found.get_layer(0))
    log.info("%s %s gridsize %d: %s", backend, name, gridsize, result)
    assert result.good, result


@pytest.mark.parametrize(
    "wrong",
    [
        lambda o: o[::-1],
        lambda o: o[:, ::-1],
        lambda o: o[::-1, ::-1],
        lambda o: o.conj(),
        lambda o: shift_image(o, (0.5, 0.5)),
        lambda o: shift_image(o, (1, 0)),
        lambda o: shift_image(o, (0, -1)),
        lambda o: np.pad(o.T, ((0, 0), (8, 8)))[:100, :116],
    ],
)
def test_flipped_transposed_or_shifted_results_would_fail(experiment, quality, wrong):
    assert quality(experiment.truth).good
    changed = wrong(experiment.truth)
    full = np.ones_like(experiment.truth)
    rows, columns = (min(a, b) for a, b in zip(full.shape, changed.shape, strict=True))
    full[:rows, :columns] = changed[:rows, :columns]
    assert not quality(full).good
