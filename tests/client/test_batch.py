"""``ptychodus -b train`` and ``ptychodus -b reconstruct``, as a beamline's scripts call them."""

import logging
import os
import shutil
import subprocess
import sys

import pytest
from ptychodus.api.io import load_product

log = logging.getLogger(__name__)

SETTINGS = """\
[Processing]
Algorithm = ptychopinn_{name}

[PtychoPINNModel]
GridSize = {gridsize}
NumFiltersScale = 1

[PtychoPINNTraining]
NumEpochs = {epochs}
BatchSize = 4
"""


@pytest.fixture
def ptychodus(tmp_path, monkeypatch):
    """Run ptychodus and return what it says."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))  # where it keeps files of its own

    def run(action, folder, out, *, succeeds=True):
        command = ["-m", "ptychodus", "-b", action, "-i", str(folder), "-o", str(out)]
        done = subprocess.run(  # noqa: S603  our own interpreter
            [sys.executable, *command],
            env=os.environ.copy(),
            capture_output=True,
            text=True,
            timeout=1200,
            check=False,
        )
        said = done.stdout + done.stderr
        assert (done.returncode == 0) == succeeds, said
        return said

    return run


@pytest.fixture
def inputs(experiment, reconstructor, tmp_path):
    """Folder of the batch mode: diffraction.h5, product.h5, train_data.npz, test_data.npz."""
    folder = experiment.save(tmp_path / "in")
    for role in ("train", "test"):
        exporter = reconstructor("PINN", 1)
        exporter.export_training_data(folder / f"{role}_data.npz", experiment.input)
    return folder


@pytest.mark.parametrize(
    ("backend", "name", "gridsize"), [("pytorch", "pinn", 2), ("tensorflow", "pinn", 1)]
)
def test_train_and_reconstruct(
    backend, name, gridsize, ptychodus, inputs, tmp_path, quality, epochs, monkeypatch
):
    monkeypatch.setenv("PTYCHO_BACKEND", backend)
    count = epochs[gridsize]
    settings = SETTINGS.format(name=name, gridsize=gridsize, epochs=count)
    (inputs / "settings.ini").write_text(settings, "utf-8")
    before = {path.name: path.read_bytes() for path in inputs.iterdir()}
    said = ptychodus("train", inputs, tmp_path / "model")
    assert f"epoch {count}/{count}: " in said
    assert f"training with {backend} on 72 patterns: {name}, unrolled, gridsize {gridsize}" in said
    assert before == {path.name: path.read_bytes() for path in inputs.iterdir()}

    shutil.copy(tmp_path / "model" / "wts.h5.zip", inputs / "model.zip")
    said = ptychodus("reconstruct", inputs, tmp_path / "result")
    assert "R-factor" in said
    (product,) = (tmp_path / "result").glob("product*.h5")  # with the number of its epoch
    result = quality(load_product(product).object_.get_layer(0))
    log.info("%s %s gridsize %d, batch mode: %s", backend, name, gridsize, result)
    assert result.good, result


def test_a_failure_is_told_in_the_log(ptychodus, inputs, tmp_path, monkeypatch):
    monkeypatch.setenv("PTYCHO_BACKEND", "caffe")
    (inputs / "settings.ini").write_text(
        SETTINGS.format(name="pinn", gridsize=1, epochs=1), "utf-8"
    )
    said = ptychodus("train", inputs, tmp_path / "model", succeeds=False)
    assert "InvalidValueError: backend must be one of pytorch, tensorflow, got 'caffe'" in said
    assert not (tmp_path / "model" / "wts.h5.zip").exists()
