import json
import sys
import tomllib

import pytest
from ptycho_config import (
    InferenceConfig,
    Layer,
    ModelConfig,
    PyTorchExecutionConfig,
    RunFiles,
    TrainingConfig,
    json_schema,
    option_specs,
    resolve_inference,
    resolve_training,
    to_dict,
)
from ptycho_data import Bundle, load_scan, save_bundle


def names(*classes):
    return [spec.name for cls in classes for spec in option_specs(cls)]


TRAINING = names(ModelConfig, TrainingConfig, PyTorchExecutionConfig, RunFiles)
INFERENCE = names(ModelConfig, InferenceConfig, PyTorchExecutionConfig, RunFiles)


@pytest.fixture
def bundle_file(scan_file, tmp_path):
    model = ModelConfig(gridsize=2, architecture="unrolled")
    config = TrainingConfig(model=model, neighbor_count=7)
    bundle = Bundle(
        config=to_dict(config),
        overrides_applied={},
        scaling={},
        probe=load_scan(scan_file).probe,
        weights={},
        history={},
        backend="pytorch",
        versions={},
    )
    return save_bundle(tmp_path / "model", bundle)


def test_show_lists_every_setting_with_its_origin(ptycho):
    done = ptycho("config", "show")
    assert done.code == 0
    rows = [line.split() for line in done.out.splitlines() if line.startswith("  ")]
    assert [row[0] for row in rows] == TRAINING
    rows = {row[0]: " ".join(row[1:]) for row in rows}
    assert rows["batch_size"] == "16 default"
    assert rows["architecture"] == "unrolled default"
    assert rows["train_data_file"] == "the argument of the command default"
    assert rows["n_groups"] == "all default"


def test_show_is_what_train_takes(ptycho, scan_file, tmp_path, stand_in):
    (tmp_path / "c.toml").write_text("nepochs = 7\nbatch_size = 4\n[model]\ngridsize = 3\n")
    args = [scan_file, "--config", tmp_path / "c.toml", "--batch-size", "8"]
    shown = json.loads(ptycho("config", "show", *args, "--json").out)
    assert set(shown["origins"]) == set(TRAINING)
    wanted = {
        "nepochs": "config file",
        "gridsize": "config file",
        "batch_size": "command line",
        "train_data_file": "command line",
        "N": "data",
        "nphotons": "data",
        "neighbor_count": "command default",
        "seed": "default",
    }
    assert {name: shown["origins"][name] for name in wanted} == wanted
    assert shown["configuration"]["neighbor_count"] == 9
    assert ptycho("train", *args, "-o", tmp_path / "m").code == 0
    run = json.loads((tmp_path / "m" / "run.json").read_text())
    used = {name: entry["origin"] for name, entry in run["overrides_applied"].items()}
    shown_given = {k: v for k, v in shown["origins"].items() if v != "default"}
    assert shown_given.pop("train_data_file") == "command line"  # no setting
    assert used == shown_given | {"learning_rate": "network"}
    again = resolve_training([Layer("config file", shown["configuration"])])
    call = stand_in.trainings[-1]
    assert again.execution.at_rate(2e-3) == call["execution"]
    assert again.config.model == call["config"].model
    assert again.config.nphotons == call["config"].nphotons == 1e6


def test_show_of_a_reconstruction(ptycho, scan_file, bundle_file):
    args = ["config", "show", scan_file, "--bundle", bundle_file, "--json"]
    shown = json.loads(ptycho(*args, "--n-groups", "5").out)
    assert set(shown["origins"]) == set(INFERENCE)
    wanted = {
        "gridsize": "bundle",
        "neighbor_count": "bundle",
        "model_path": "command line",
        "n_groups": "command line",
    }
    assert {name: shown["origins"][name] for name in wanted} == wanted
    read = resolve_inference([Layer("config file", shown["configuration"])]).config
    assert (read.model.gridsize, read.neighbor_count, read.backend) == (2, 7, "pytorch")
    assert ptycho(*args, "--nepochs", "5").fails_with("nepochs belongs to training")
    assert ptycho(*args, "--gridsize", "3").fails_with("gridsize must be that of the bundle, 2")


def test_show_needs_no_scan(ptycho, bundle_file):
    shown = json.loads(ptycho("config", "show", "--bundle", bundle_file.parent, "--json").out)
    assert shown["origins"]["test_data_file"] == "default"
    assert "test_data_file" not in shown["configuration"]


def test_show_takes_the_scan_of_a_file(ptycho, tmp_path):
    (tmp_path / "c.json").write_text('{"train_data_file": "scan7.npz"}')
    shown = json.loads(ptycho("config", "show", "--config", tmp_path / "c.json", "--json").out)
    assert shown["origins"]["train_data_file"] == "config file"
    assert shown["configuration"]["train_data_file"] == "scan7.npz"


def test_mistakes_are_one_line(ptycho, tmp_path, scan_file):
    (tmp_path / "c.toml").write_text("nepoch = 3\n")
    assert ptycho("config", "show", "--config", tmp_path / "c.toml").fails_with("nepochs", "c.toml")
    assert ptycho("config", "show", tmp_path / "gone.npz").code == 2
    (tmp_path / "text.npz").write_text("hello")
    assert ptycho("config", "show", tmp_path / "text.npz").fails_with("text.npz")
    assert ptycho("config", "show", scan_file, "--gridsize", "9").fails_with("--gridsize")


def test_schema(ptycho, tmp_path):
    printed = ptycho("config", "schema").out
    assert json.loads(printed) == json_schema()
    assert ptycho("config", "schema", "-o", tmp_path / "s.json", "-q").code == 0
    assert (tmp_path / "s.json").read_text() == printed
    again = ptycho("config", "schema", "-o", tmp_path / "s.json")
    assert again.fails_with("s.json", "--overwrite")
    assert ptycho("config", "schema", "-o", tmp_path / "s.json", "--overwrite").code == 0


@pytest.mark.parametrize("command", ["train", "infer"])
def test_template_is_a_file_that_changes_nothing(ptycho, command, tmp_path, scan_file, bundle_file):
    path = tmp_path / "settings.toml"
    assert ptycho("config", "template", "--for", command, "-o", path).code == 0
    text = path.read_text()
    assert tomllib.loads(text) == {"model": {}, "execution": {}}
    assert "# nepochs = 50\n" in text or command == "infer"
    assert '# architecture = "unrolled"\n' in text or command == "infer"
    assert '# accelerator = "auto"\n' in text
    args = [scan_file, *(["--bundle", bundle_file] if command == "infer" else []), "--json"]
    plain = ptycho("config", "show", *args).out
    assert ptycho("config", "show", *args, "--config", path).out == plain


def test_reference_names_every_setting_and_its_default(ptycho):
    page = ptycho("config", "reference").out
    for name in {*TRAINING, *INFERENCE}:
        assert f"| `{name}` |" in page
    (line,) = (line for line in page.splitlines() if line.startswith("| `learning_rate` |"))
    assert "0.002 for unrolled" in line


def test_nothing_heavy_is_loaded(ptycho, scan_file, monkeypatch):
    for name in ("torch", "lightning", "tensorflow", "matplotlib"):
        monkeypatch.setitem(sys.modules, name, None)
    for args in (["show", scan_file], ["schema"], ["template"], ["reference"]):
        assert ptycho("config", *args).code == 0
