"""The commands and the two calls of Python give the same."""

import json

import numpy as np
from ptycho_core import reconstruct, train
from ptycho_data import load_bundle, load_reconstruction


def without(record, *names):
    return {name: value for name, value in record.items() if name not in names}


def test_training_and_reconstruction(ptycho, scan_file, tmp_path, stand_in):
    args = ["--nepochs", "3", "--gridsize", "2"]
    assert ptycho("train", scan_file, "-o", tmp_path / "a" / "m", *args).code == 0
    model = train(scan_file, output=tmp_path / "b" / "m", nepochs=3, gridsize=2)
    of_command, of_call = stand_in.trainings
    for name in ("config", "execution"):
        assert of_command[name] == of_call[name]
    one, other = (load_bundle(tmp_path / folder / "m") for folder in "ab")
    assert one.config == other.config == model.bundle.config
    assert one.scaling == other.scaling
    assert one.overrides_applied.keys() == other.overrides_applied.keys()
    for name, weight in one.weights.items():
        np.testing.assert_array_equal(weight, other.weights[name])

    assert ptycho("infer", tmp_path / "a" / "m", scan_file, "-o", tmp_path / "a" / "r").code == 0
    reconstruct(model, scan_file, output=tmp_path / "b" / "r")
    found = [load_reconstruction(tmp_path / f / "r" / "reconstruction.npz") for f in "ab"]
    np.testing.assert_array_equal(found[0].object, found[1].object)
    for step in "mr":
        names = [{path.name for path in (tmp_path / folder / step).iterdir()} for folder in "ab"]
        assert names[0] == names[1]
        runs = [json.loads((tmp_path / f / step / "run.json").read_text()) for f in "ab"]
        changing = ("created", "timings_s", "overrides_applied", "inputs", "configuration")
        assert without(runs[0], *changing) == without(runs[1], *changing)
        paths = ("output_dir", "model_path")
        settings = [without(run["configuration"], *paths) for run in runs]
        assert settings[0] == settings[1]
