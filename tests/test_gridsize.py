"""One number, ``gridsize``, sets the channels of everything: data, network, physics, bundle."""

import re

import numpy as np
import pytest
import torch
from attrs import evolve
from ptycho import model_manager, params
from ptycho.config.config import ModelConfig as ClientModel
from ptycho.config.config import TrainingConfig as ClientTraining
from ptycho.raw_data import RawData
from ptycho.workflows import components
from ptycho_cli.main import main as ptycho
from ptycho_config import (
    InferenceConfig,
    ModelConfig,
    PyTorchExecutionConfig,
    TrainingConfig,
    from_dict,
)
from ptycho_core import memory
from ptycho_core.groups import prepare
from ptycho_core.sampling import inference_groups
from ptycho_core.testing import simulated_scan
from ptycho_data import group_positions, load_bundle, load_reconstruction, save_scan
from ptycho_torch import inference, reconstruction, train
from ptycho_torch.bundles import bundle_of, model_from
from ptycho_torch.config_factory import create_inference_payload, create_training_payload
from ptycho_torch.data import ScanDataModule
from ptycho_torch.model import PtychoModel
from ptycho_torch.networks import build_network

N, COUNT = 64, 30
READERS = {  # module that reads gridsize or channels: the test that holds it to them
    # TensorFlow is not in the session of this file.
    "ptycho_tf/networks/cnn.py": "tests/backends/test_portable_bundles.py",
    # It only tells the page of a run.
    "ptycho_core/training/run.py": "tests/test_live_page.py",
}


def consumer(*modules):
    """Register a test as the one for these modules."""

    def register(test):
        READERS.update(dict.fromkeys(modules, test.__name__))
        return test

    return register


def test_every_module_that_reads_gridsize_is_held_to_it_here(root):
    pattern = re.compile(r"(?:model|config)\.(?:gridsize|channels)\b")
    found = {
        path.relative_to(source).as_posix()
        for source in root.glob("packages/*/src")
        for path in source.rglob("*.py")
        if "ptycho_config" not in path.parts and pattern.search(path.read_text("utf-8"))
    }
    assert found == set(READERS), "a module that reads gridsize needs its test in this file"


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(params=[1, 2, 3])
def gridsize(request):
    return request.param


@pytest.fixture(name="C")
def channels(gridsize):
    return {1: 1, 2: 4, 3: 9}[gridsize]


@pytest.fixture(scope="module")
def scan():
    return simulated_scan(COUNT, shape=(104, 108), radius=(8, 20))


@pytest.fixture(scope="module")
def scan_file(scan, tmp_path_factory):
    path = tmp_path_factory.mktemp("gridsize") / "scan.npz"
    save_scan(path, scan)
    return path


@pytest.fixture(params=["cnn", "unrolled"])
def model(request, gridsize):
    return ModelConfig(gridsize=gridsize, architecture=request.param, n_filters_scale=1)


@pytest.fixture
def config(gridsize, tmp_path):
    return from_dict(
        TrainingConfig,
        {
            "gridsize": gridsize,
            "neighbor_count": max(4, gridsize**2),
            "n_groups": 12,
            "batch_size": 4,
            "backend": "pytorch",
            "output_dir": tmp_path,
        },
    )


def some_batch(scan, C):
    groups = np.arange(2 * C).reshape(2, C)
    counts = torch.from_numpy(scan.counts(groups.ravel())).reshape(2, C, N, N)
    positions = torch.from_numpy(scan.positions[groups].astype(np.float32)).unsqueeze(-2)
    return counts, positions


def test_configuration(gridsize, C):
    assert ModelConfig(gridsize=gridsize).channels == C


def test_groups_of_positions(scan, gridsize, C):
    groups = group_positions(scan.positions, gridsize, neighbor_count=max(4, C), seed=0)
    assert groups.shape == (COUNT, C)
    assert all(len(set(group)) == C for group in groups)


@consumer("ptycho_core/sampling.py")
def test_training_batches(scan, config, C):
    part, _ = prepare(scan, config, split=False)
    data = ScanDataModule(part, None, batch_size=4, seed=0, execution=PyTorchExecutionConfig())
    for batch in data.train_dataloader():
        assert batch["counts"].shape == (4, C, N, N)
        assert batch["positions"].shape == (4, C, 1, 2)


@consumer("ptycho_core/network_pass.py", "ptycho_torch/reconstructor.py")
def test_groups_of_a_reconstruction(scan, config, C):
    model = PtychoModel(config.model, scan.probe)
    photons = scan.mean_photons()
    bundle = bundle_of(
        model, config, photons=photons, domain="counts", history={}, overrides_applied={}
    )
    asked = InferenceConfig(n_groups=3)
    groups = inference_groups(scan, asked, config.model.gridsize)
    assert groups.shape == (3, C)
    found = reconstruction.reconstruct(bundle, scan, asked, PyTorchExecutionConfig())
    assert set(found.reconstruction.indices) == set(groups.ravel())


@consumer("ptycho_core/memory.py")
def test_memory_of_a_batch_grows_with_its_patterns(scan, config, C):
    one = evolve(config, batch_size=1)
    more = evolve(one, batch_size=2)
    step = [memory.of_training([scan], each).parts["batch"] for each in (one, more)]
    alone = evolve(one, model=ModelConfig(gridsize=1))
    assert step[0] == C * memory.of_training([scan], alone).parts["batch"]
    assert step[1] == 2 * step[0]


@consumer("ptycho_torch/networks/cnn.py")
def test_network_channels_in_and_out(gridsize, C, scan):
    network = build_network(ModelConfig(gridsize=gridsize, n_filters_scale=1, architecture="cnn"))
    convolutions = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
    assert convolutions[0].in_channels == 2 * C  # as they are, and as they depart from the beam
    for decoder in (network.amplitude, network.phase):
        assert decoder.head.out_channels == C
        assert decoder.periphery[-1].out_channels == C
    counts, positions = some_batch(scan, C + 1)
    with pytest.raises(RuntimeError, match="channels"):
        network(counts, positions, torch.from_numpy(scan.probe), torch.zeros(N, N, dtype=bool))


def test_network_and_forward_model(model, scan, C):
    counts, positions = some_batch(scan, C)
    patches, rate = PtychoModel(model, scan.probe)(counts.sqrt(), positions, (128, 128), 1e5)
    assert patches.shape == rate.shape == (2, C, N, N)
    assert patches.is_complex()
    assert not rate.is_complex()


def test_bundle(model, scan, gridsize, C):
    config = TrainingConfig(model=model, neighbor_count=9, backend="pytorch")
    bundle = bundle_of(
        PtychoModel(model, scan.probe),
        config,
        photons=1e5,
        domain="counts",
        history={},
        overrides_applied={},
    )
    assert bundle.config["model"]["gridsize"] == gridsize
    assert model_from(bundle).config.channels == C
    if model.architecture == "cnn":  # the other network has no channel of its own per pattern
        wrong = {**bundle.config, "model": {**bundle.config["model"], "gridsize": gridsize % 3 + 1}}
        with pytest.raises(ValueError, match="architecture 'cnn'"):
            model_from(evolve(bundle, config=wrong))


def check_bundle_and_result(model_folder, result, gridsize, C, scan_file):
    bundle = load_bundle(model_folder)
    assert bundle.config["model"]["gridsize"] == gridsize
    if bundle.config["model"]["architecture"] == "cnn":
        assert bundle.weights["network.encoder.0.0.0.weight"].shape[1] == 2 * C
        assert bundle.weights["network.amplitude.head.weight"].shape[0] == C
        assert bundle.weights["network.phase.head.weight"].shape[0] == C
    assert np.isfinite(load_reconstruction(result / "reconstruction.npz").object).all()
    payload = create_inference_payload(model_folder, scan_file, result)
    assert payload.config.model.channels == C
    other = {"gridsize": gridsize % 3 + 1}
    with pytest.raises(ValueError, match="gridsize must be that of the bundle"):
        create_inference_payload(model_folder, scan_file, result, overrides=other)


def test_factory(scan_file, gridsize, C):
    payload = create_training_payload(scan_file, "out", overrides={"gridsize": gridsize})
    assert payload.config.model.channels == C


def test_both_module_entry_points(scan_file, tmp_path, gridsize, C):
    model, result = tmp_path / "OUT", tmp_path / "REC"
    line = f"--train_data_file {scan_file} --output_dir {model} --n_images 4 --batch_size 2"
    line += f" --max_epochs 1 --gridsize {gridsize} --accelerator cpu --quiet"
    assert train.main(line.split()) == 0
    line = f"--model_path {model} --test_data {scan_file} --output_dir {result} --n_images 4"
    assert inference.main([*line.split(), "--accelerator", "cpu", "--quiet"]) == 0
    check_bundle_and_result(model, result, gridsize, C, scan_file)


@consumer("ptycho/workflows/components.py")
def test_the_calls_of_applications(scan_file, tmp_path, gridsize, C, monkeypatch):
    monkeypatch.setenv("PTYCHO_BACKEND", "pytorch")
    monkeypatch.setitem(params.cfg, "intensity_scale", None)  # put back as it was afterwards
    raw = RawData.from_file(scan_file)
    model = ClientModel(N=N, gridsize=gridsize, n_filters_scale=1)
    config = ClientTraining(model=model, nepochs=1, batch_size=8)
    _, _, results = components.run_cdi_example(raw, None, config)
    assert set(results["reconstruction"].indices) == set(range(COUNT))
    bundle = load_bundle(model_manager.save(tmp_path))
    assert bundle.config["model"]["gridsize"] == gridsize
    grouped = raw.generate_grouped_data(N, K=4, gridsize=gridsize)
    assert grouped["diffraction"].shape == (COUNT, N, N, C)
    assert grouped["coords_relative"].shape == (COUNT, 1, 2, C)


@pytest.mark.parametrize("architecture", ["cnn", "unrolled"])
def test_the_command(scan_file, tmp_path, gridsize, C, architecture, capsys):
    model, result = tmp_path / "model", tmp_path / "result"
    options = f"--gridsize {gridsize} --architecture {architecture} --n-filters-scale 1"
    options += " --n-groups 4 --batch-size 2 --nepochs 1 --accelerator cpu -q"
    code = ptycho(["train", str(scan_file), "-o", str(model), *options.split()])
    assert code == 0, capsys.readouterr().err
    options = ["--n-groups", "4", "--accelerator", "cpu", "-q"]
    assert ptycho(["infer", str(model), str(scan_file), "-o", str(result), *options]) == 0
    check_bundle_and_result(model, result, gridsize, C, scan_file)
