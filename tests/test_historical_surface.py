"""Names, flags and rules of earlier versions keep working: what docs/migration.md promises."""

import re
import shlex
import shutil
import warnings
from ast import literal_eval
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from pkgutil import resolve_name

import numpy as np
import ptycho.config.config as application
import ptycho_config
import pytest
import torch
from ptycho import loader, params
from ptycho._moved import MOVED as APPLICATION_NAMES
from ptycho.raw_data import RawData
from ptycho.workflows.components import load_inference_bundle
from ptycho_cli.main import cli
from ptycho_config import MissingPackageError, option_specs
from ptycho_config.aliases import FORMER_NAMES
from ptycho_core.testing import simulated_scan
from ptycho_data import save_scan
from ptycho_data._moved import MOVED as DATA_NAMES
from ptycho_torch import inference, train
from ptycho_torch._moved import MOVED as TORCH_NAMES
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
ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "migration.md").read_text("utf-8")
SURFACE = (ROOT / "docs" / "torch-surface.md").read_text("utf-8")


def section(title):
    """Return one section of the page."""
    (text,) = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return text


def rows(title):
    """Return the cells of each row of the tables of a section, without the headings."""
    lines = [line for line in section(title).splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in cells if "`" in row[0]]


def words(cell):
    return re.findall(r"`([^`]+)`", cell)


def pairs(title):
    """Return old and new name of each row."""
    return [(words(old)[0], *words(new)) for old, new in rows(title)]


def find(path):
    """Import a dotted name; of a backend that is not installed, find its file."""
    try:
        return resolve_name(path)
    except MissingPackageError:
        package, *parts = path.split(".")
        place = Path(import_module(package).__file__).parent.joinpath(*parts)
        assert place.with_suffix(".py").exists()
        return place


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


def test_commands_of_the_table_run(capsys):
    scripts = entry_points(group="console_scripts")
    for old, new in pairs("Commands"):
        assert cli.get_command(None, new.removeprefix("ptycho ")) is not None
        if old.startswith("scripts/"):
            continue
        *module, name = old.split()
        main = scripts[name].load() if not module else import_module(name).main
        with pytest.raises(SystemExit) as done:
            main(["--help"])
        assert done.value.code == 0
        assert "--train_data_file" in (out := capsys.readouterr().out) or "--model_path" in out


@pytest.mark.parametrize(("old", "new"), pairs("Names that work"))
def test_names_that_work(old, new):
    assert find(old) is not None
    assert find(new) is not None


@pytest.mark.parametrize(("old", "new"), pairs("Names that are renamed"))
def test_what_is_renamed_is_the_new_thing_and_warns(old, new):
    with pytest.warns(DeprecationWarning, match=re.escape(f"use {new}")):
        assert find(old) == find(new)


@pytest.mark.parametrize(("old", "new"), [(old, new) for old, *new in pairs("Names that are gone")])
def test_what_is_gone_names_its_successors(old, new):
    module, _, name = old.rpartition(".")
    with pytest.raises(ImportError, match=re.escape(" or ".join(new))):
        exec(f"from {module} import {name}")  # noqa: S102 - a row of our own page
    for successor in new:
        assert find(successor) is not None


def test_the_tables_of_names_are_complete():
    tables = [TORCH_NAMES, APPLICATION_NAMES, DATA_NAMES]
    renamed = {row for table in tables for row in table.renamed.items()}
    gone = {(old, *new) for table in tables for old, new in table.gone.items()}
    assert set(pairs("Names that are renamed")) == renamed
    assert set(pairs("Names that are gone")) == gone


def test_whole_modules_that_are_gone_name_their_successor():
    with pytest.raises(ImportError, match=r"ptycho_core\.train"):
        import_module("ptycho_torch.api.base_api")
    with pytest.raises(ImportError, match=r"ptycho_config\.update_legacy_dict"):
        import_module("ptycho_torch.config_bridge")


def test_flags_of_the_table_are_those_of_the_commands():
    known = {(f"{flag}", name) for name, flags in OTHER_NAMES.items() for flag in flags}
    known |= {(f"--{old}", ptycho_config.DEPRECATED_ALIASES[old].target) for old in DEPRECATED}
    assert set(pairs("Flags of the module commands")) == known


@pytest.mark.parametrize(("old", "new"), pairs("Settings"))
def test_old_settings_are_accepted_with_a_warning_or_refused_with_a_hint(old, new):
    if old in ptycho_config.DEPRECATED_ALIASES:
        with pytest.warns(DeprecationWarning, match=old):
            assert ptycho_config.resolve_alias(old, True)[0] == new
        return
    with pytest.raises(ptycho_config.ConfigError, match=f"did you mean {new}"):
        ptycho_config.resolve_training([ptycho_config.Layer("override", {old: 1})])


def test_settings_of_the_table_are_all_old_ones():
    assert {old for old, _ in pairs("Settings")} == {
        *ptycho_config.DEPRECATED_ALIASES,
        *FORMER_NAMES,
    }


def test_defaults_of_the_table(scan_file):
    payload = create_training_payload(scan_file, "out")
    current = ptycho_config.resolve_training([])
    for name, _, historical, everywhere in rows("Defaults"):
        for cell, holder in ((historical, payload), (everywhere, current)):
            settings = (holder.config, holder.config.model, holder.execution)
            (setting,) = words(name)
            (owner,) = [part for part in settings if hasattr(part, setting)]
            assert getattr(owner, setting) == literal_eval(*words(cell)), setting


def test_files_of_the_table(trained, scan_file, tmp_path, monkeypatch):
    bundle, *fixture = pairs("Files")
    models, _ = load_torch_bundle(trained[0] / bundle[0])
    path = save_torch_bundle(models, tmp_path / bundle[0], configuration("application"))
    assert path.name == trained[1]["bundle_path"].name == bundle[1]
    monkeypatch.chdir(tmp_path)
    shutil.copy(scan_file, "scan.npz")
    (command,) = [text for text in words(section("Files")) if text.startswith("ptycho fixture")]
    assert cli(shlex.split(command)[1:], standalone_mode=False) is None
    assert all(Path(new).exists() for _, new in fixture)


def test_old_readers_find_the_patterns_in_a_file_made_for_them(scan_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(scan_file, "scan.npz")
    (code,) = re.findall(r"```python\n(.*?)```", section("Files"), re.DOTALL)
    exec(code, {})  # noqa: S102 - our own page
    with np.load("for_old_reader.npz") as made, np.load("scan.npz") as scan:
        np.testing.assert_array_equal(made["diff3d"], scan["diffraction"])
        assert made["probeGuess"].shape == (N, N)


@pytest.mark.parametrize(("old", "new"), pairs("Tests"))
def test_tests_of_the_table_exist(old, new):
    assert old.startswith("tests/torch/")
    assert (ROOT / new).is_file()


def test_rules_of_the_page():
    titles = re.findall(r"^### ([A-Z]+-\d+): ", section("Rules"), re.MULTILINE)
    assert titles == ["CONFIG-001", "DATA-001", "FORMAT-001", "POLICY-001", "ADR-003"]
    assert ", ".join(ptycho_config.ORIGINS) in " ".join(section("Rules").split())


def test_the_page_of_the_torch_surface_runs(scan_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(scan_file, "scan.npz")
    blocks = re.findall(r"```(\w+)\n(.*?)```", SURFACE, re.DOTALL)
    assert [kind for kind, _ in blocks].count("bash") == 1
    names = {}
    for kind, code in blocks:
        if kind == "python":
            exec(compile(code, "torch-surface.md", "exec"), names)  # noqa: S102 - our own page
            continue
        for line in code.replace("\\\n", " ").splitlines():
            _, _, module, *arguments = shlex.split(line)
            assert import_module(module).main(arguments) == 0
    for made in ("model/wts.h5.zip", "copy/wts.h5.zip", "picture/reconstruction.npz"):
        assert Path(made).exists()


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
