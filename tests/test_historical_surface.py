"""Names, flags and rules of earlier versions keep working: what docs/migration.md promises."""

import re
import warnings
from importlib import import_module
from pathlib import Path

import ptycho.config.config as application
import ptycho_config
import pytest
import torch
from ptycho import loader, params
from ptycho.raw_data import RawData
from ptycho.workflows.components import load_inference_bundle
from ptycho_config import option_specs
from ptycho_core.testing import simulated_scan
from ptycho_data import save_scan
from ptycho_torch import inference, train
from ptycho_torch.config_factory import create_inference_payload, create_training_payload
from ptycho_torch.entry import DEPRECATED, OTHER_NAMES
from ptycho_torch.model_manager import (
    create_torch_model_with_gridsize,
    load_torch_bundle,
    save_torch_bundle,
)
from ptycho_torch.module import PtychoModule
from ptycho_torch.training import train as train_network
from ptycho_torch.workflows.components import load_inference_bundle_torch, run_cdi_example_torch

N, COUNT = 64, 20
MODEL = {"N": N, "gridsize": 2, "architecture": "cnn", "n_filters_scale": 1}
HOMES = {"application": application, "checked": ptycho_config}
PAGE = (Path(__file__).parents[1] / "docs" / "migration.md").read_text("utf-8")
WORKING, GONE = PAGE.split("Gone, with")
FLAGS = GONE.partition("## Flags")[2]
GONE = GONE.partition("## Flags")[0]


def rows(text):
    """Old and new name of each row of a table."""
    return re.findall(r"^\| `([^`]+)` \| `([^`]+)` \|$", text, re.MULTILINE)


def find(path):
    """Import a dotted name: the module itself, or a name in one."""
    module, _, name = path.rpartition(".")
    try:
        return import_module(path)
    except ModuleNotFoundError:
        return getattr(import_module(module), name)


@pytest.fixture(autouse=True)
def fresh_process(monkeypatch):
    monkeypatch.setenv("PTYCHO_BACKEND", "pytorch")
    torch.set_num_threads(1)
    params.cfg.clear()
    yield
    params.cfg.clear()


@pytest.fixture(scope="module")
def scan():
    return simulated_scan(COUNT, shape=(96, 100), radius=(8, 20))


@pytest.fixture(scope="module")
def scan_file(scan, tmp_path_factory):
    path = tmp_path_factory.mktemp("scan") / "scan.npz"
    save_scan(path, scan)
    return path


def configuration(home, **settings):
    """A configuration of a training, of either home."""
    place = HOMES[home]
    values = {"nepochs": 1, "n_groups": 4, "batch_size": 4, "backend": "pytorch", **settings}
    return place.TrainingConfig(model=place.ModelConfig(**MODEL), **values)


@pytest.fixture(scope="module")
def trained(scan, tmp_path_factory):
    """Folder of a bundle, and what the call that made it returned."""
    folder = tmp_path_factory.mktemp("model")
    _, _, results = run_cdi_example_torch(
        scan, None, configuration("application"), do_stitching=False, output_dir=folder
    )
    return folder, results


@pytest.mark.parametrize(
    ("old", "new"), [r for r in rows(WORKING) if "." in r[0] and "-m" not in r[0]]
)
def test_names_of_the_table_import(old, new):
    assert find(old) is not None
    assert find(new) is not None


@pytest.mark.parametrize(("old", "new"), rows(GONE))
def test_what_is_gone_names_its_successor(old, new):
    with pytest.raises(ImportError, match=re.escape(new.rpartition(".")[2])):
        find(old)
    assert find(new) is not None


def test_flags_of_the_table_are_those_of_the_commands():
    pairs = {(f"{flag}", name) for name, flags in OTHER_NAMES.items() for flag in flags}
    pairs |= {(f"--{old}", ptycho_config.DEPRECATED_ALIASES[old].target) for old in DEPRECATED}
    assert set(rows(FLAGS.partition("## Defaults")[0])) == pairs


@pytest.mark.parametrize("module", [train, inference])
def test_every_setting_is_a_flag_in_both_spellings(module):
    parser = module.parser()
    flags = {flag for action in parser._actions for flag in action.option_strings}
    classes = [ptycho_config.PyTorchExecutionConfig]
    classes += [ptycho_config.TrainingConfig, ptycho_config.ModelConfig] * (module is train)
    classes += [ptycho_config.InferenceConfig] * (module is inference)
    for spec in (spec for cls in classes for spec in option_specs(cls) if spec.name != "backend"):
        assert set(spec.flags) <= flags
        if spec.group != "Execution":
            assert f"--{spec.name}" in flags
    assert module.cli_main is module.main


@pytest.mark.parametrize(
    "words", ["--accelerator cpu --device cuda", "--device cuda --accelerator cpu"]
)
def test_the_flag_of_today_wins_over_the_deprecated_one(words, capsys):
    line = f"--train_data_file F --output_dir O {words}"
    with pytest.warns(DeprecationWarning, match="--device"):
        options = train.parser().parse(line.split())
    assert options["accelerator"] == "cpu"
    assert "--device contradicts accelerator cpu" in capsys.readouterr().err


def test_export_of_the_application_settings():
    names = {"ModelConfig", "TrainingConfig", "InferenceConfig", "PyTorchExecutionConfig"}
    names |= {"update_legacy_dict", "dataclass_to_legacy_dict"}
    names |= {f"validate_{kind}_config" for kind in ("model", "training", "inference")}
    assert names == set(application.__all__)
    application.validate_training_config(configuration("application"))
    with pytest.raises(ValueError, match="nepochs"):
        application.validate_training_config(configuration("application", nepochs=0))
    with pytest.raises(ValueError, match="gridsize"):
        application.validate_model_config(application.ModelConfig(gridsize=9))
    legacy = application.dataclass_to_legacy_dict(configuration("application"))
    assert (legacy["N"], legacy["object.big"]) == (N, True)


def test_old_keywords_warn_where_they_are_written():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        config = application.TrainingConfig(n_images=4)
        execution = application.PyTorchExecutionConfig(disable_mlflow=True)
    assert (config.n_groups, execution.logger_backend) == (4, "none")
    assert [warning.filename for warning in caught] == [__file__, __file__]


@pytest.mark.parametrize("home", HOMES)
def test_configurations_of_either_home_go_through_every_door(home, scan, trained, tmp_path):
    config = configuration(home)
    results = run_cdi_example_torch(scan, None, config, do_stitching=False)[2]
    assert results["backend"] == "pytorch"
    assert results["bundle_path"] is None
    path = save_torch_bundle(trained[1]["models"], tmp_path / "wts.h5", config)
    assert load_torch_bundle(path)[1]["gridsize"] == 2
    assert create_torch_model_with_gridsize(2, N, config) is not None
    execution = application.PyTorchExecutionConfig()
    assert train_network(scan, config, execution, output=tmp_path / "run").bundle_path.exists()


def test_results_hold_the_models_and_loaded_params_make_another(trained):
    folder, results = trained
    assert set(results["models"]) == {"autoencoder", "diffraction_to_obj"}
    _, loaded = load_torch_bundle(folder)
    assert sum(
        p.numel() for p in create_torch_model_with_gridsize(2, N, loaded).parameters()
    ) == sum(p.numel() for p in results["models"]["autoencoder"].parameters())


def test_a_checkpoint_is_loaded_by_itself(trained):
    folder, results = trained
    module = PtychoModule.load_from_checkpoint(folder / "checkpoints" / "last.ckpt")
    assert module.config.model.gridsize == 2
    kept = results["models"]["autoencoder"].core.network.state_dict()
    for name, value in module.model.network.state_dict().items():
        assert torch.equal(value, kept[name])


def test_a_data_container_is_taken_and_nothing_is_written(scan_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    raw = RawData.from_file(scan_file)
    container = loader.load(lambda: raw.generate_grouped_data(N, K=7, gridsize=2))
    run_cdi_example_torch(container, None, configuration("application"), do_stitching=False)
    assert list(tmp_path.iterdir()) == []


DOORS = {
    "training payload": lambda _, file, __: create_training_payload(
        file, "out", overrides={"gridsize": 2}
    ),
    "inference payload": lambda _, file, model: create_inference_payload(model, file, "out"),
    "workflow": lambda scan, _, __: run_cdi_example_torch(
        scan, None, configuration("application"), do_stitching=False
    ),
    "load_torch_bundle": lambda _, __, model: load_torch_bundle(model),
    "load_inference_bundle": lambda _, __, model: load_inference_bundle(model),
    "load_inference_bundle_torch": lambda _, __, model: load_inference_bundle_torch(model),
}


@pytest.mark.parametrize("door", DOORS)
def test_every_door_fills_the_legacy_dictionary(door, scan, scan_file, trained):
    folder = trained[0]
    params.cfg.clear()
    DOORS[door](scan, scan_file, folder)
    assert {"N": N, "gridsize": 2, "object.big": True}.items() <= params.cfg.items()
    grouped = RawData.from_file(scan_file).generate_grouped_data(N, K=7, nsamples=1)
    assert grouped["diffraction"].shape == (COUNT, N, N, 4)


def test_payloads_record_everything_that_was_given(scan_file):
    execution = application.PyTorchExecutionConfig(num_workers=0)
    payload = create_training_payload(scan_file, "out", execution, {"nepochs": 50})
    assert payload.execution_config is payload.execution
    assert payload.overrides_applied["nepochs"] == {"value": 50, "origin": "override"}
    assert payload.overrides_applied["num_workers"] == {"value": 0, "origin": "execution"}
