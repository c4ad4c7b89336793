from pathlib import Path

import pytest
from ptycho_config import (
    ConfigError,
    Layer,
    RunFiles,
    TrainingConfig,
    from_dict,
    resolve_inference,
    resolve_training,
    to_dict,
)


def test_nothing_is_invented():
    assert set(to_dict(RunFiles()).values()) == {None}


@pytest.mark.parametrize("value", ["", 3, "a\0b"])
def test_what_is_no_path_is_refused(value):
    with pytest.raises(ConfigError) as refused:
        RunFiles(output_dir=value)
    assert refused.value.names == ("output_dir",)


def test_home_is_expanded(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert RunFiles(train_data_file="~/s.npz").train_data_file == tmp_path / "s.npz"


def test_files_are_resolved_beside_the_settings():
    layers = [
        Layer("config file", {"test_data_file": "t.npz", "probe_file": "p.npz", "nepochs": 3}),
        Layer("command line", {"probe_file": "q.npz"}),
    ]
    resolved = resolve_training(layers)
    assert resolved.files == RunFiles(test_data_file=Path("t.npz"), probe_file=Path("q.npz"))
    assert set(resolved.overrides_applied) == {"nepochs"}  # a bundle keeps no path
    assert resolved.origins["probe_file"] == "command line"
    assert resolved.origins["test_data_file"] == "config file"
    assert resolved.origins["output_dir"] == "default"
    assert resolved.to_dict()["probe_file"] == "q.npz"
    assert "output_dir" not in resolved.to_dict()


def test_older_bundles_keep_paths_among_their_settings():
    held = {"train_data_file": "s", "output_dir": "o", "probe_file": None, "test_data_file": None}
    config = from_dict(TrainingConfig, {**to_dict(TrainingConfig(nepochs=3)), **held})
    assert config == TrainingConfig(nepochs=3)
    resolved = resolve_inference([Layer("bundle", {**to_dict(config), **held})])
    assert resolved.files == RunFiles()
