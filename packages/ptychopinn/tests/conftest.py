"""A scan as an application hands it over, and a network trained on it."""

import logging

import attrs
import numpy as np
import pytest
from ptycho import model_manager, params, probe
from ptycho.config.config import ModelConfig, TrainingConfig
from ptycho.raw_data import RawData
from ptycho.workflows.components import run_cdi_example
from ptycho_physics import defocused_probe, random_cells, simulate_counts

N, COUNT, HALF = 64, 36, 0.5
SHAPE = (90, 102)


@pytest.fixture(autouse=True)
def fresh_process(monkeypatch):
    """Leave no state of a test behind: an application has a process for each call."""
    monkeypatch.setenv("PTYCHO_BACKEND", "pytorch")
    monkeypatch.setattr(model_manager, "_trained", None)
    monkeypatch.setattr(probe, "_guess", None)
    params.cfg.clear()
    yield
    params.cfg.clear()


@pytest.fixture(scope="session")
def truth():
    return random_cells(SHAPE, seed=2)


@pytest.fixture(scope="session")
def arrays(truth):
    """Arrays as ptychodus passes them: counts, positions of the middle of each patch."""
    rng = np.random.default_rng(3)
    height, width = SHAPE
    middle = np.stack(
        [rng.uniform(31.5, width - 32.6, COUNT), rng.uniform(31.5, height - 32.6, COUNT)], axis=1
    )
    beam = defocused_probe(N)
    counts = simulate_counts(truth, beam, middle + HALF, 1e5, seed=4)
    return {
        "xcoords": middle[:, 0],
        "ycoords": middle[:, 1],
        "diff3d": counts.astype(np.uint16),
        "probeGuess": beam.astype(np.complex128) * 300,
        "scan_index": np.zeros(COUNT, dtype=int),
        "objectGuess": truth.astype(np.complex128),
    }


@pytest.fixture
def raw(arrays):
    return RawData.from_coords_without_pc(**arrays)


@pytest.fixture
def exported(arrays, tmp_path):
    """The file that ptychodus exports for training."""
    path = tmp_path / "train_data.npz"
    extra = {
        "xcoords_start": arrays["xcoords"],
        "ycoords_start": arrays["ycoords"],
        "bad_pixels": np.zeros((N, N), bool),
    }
    np.savez(path, **arrays, **extra)
    return path


@attrs.frozen
class Trained:
    """What `run_cdi_example` left, and what it logged."""

    bundle: object
    amplitude: object
    phase: object
    results: dict
    log: list


class _Collect(logging.Handler):
    def __init__(self):
        super().__init__()
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage())


def settings(gridsize=1, **values):
    model = ModelConfig(N=0, gridsize=gridsize, n_filters_scale=1, model_type="pinn")
    return TrainingConfig(model=model, nepochs=2, batch_size=4, **values)


@pytest.fixture
def settings_for():
    """Settings as an application fills them in; N comes later."""
    return settings


@pytest.fixture(scope="session")
def trained(arrays):
    """Result of a short training with gridsize 2."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PTYCHO_BACKEND", "pytorch")
        patch.setattr(model_manager, "_trained", None)
        scan, collect, root = RawData.from_coords_without_pc(**arrays), _Collect(), logging.root
        root.addHandler(collect)
        patch.setattr(root, "level", logging.INFO)
        try:
            config = settings(gridsize=2)
            config.model.N = scan.diff3d.shape[-1]
            out = run_cdi_example(scan, scan, config)
        finally:
            root.removeHandler(collect)
        return Trained(model_manager._trained, *out, collect.lines)


@pytest.fixture
def bundle_folder(trained, tmp_path):
    """Folder with the trained bundle in it."""
    model_manager.keep(trained.bundle)
    model_manager.save(tmp_path)
    return tmp_path
