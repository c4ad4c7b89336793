"""Checkpoints of Lightning hold what `PtychoModule` is made from, as plain values."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from ptycho_config.errors import InvalidValueError
from ptycho_core import networks
from ptycho_data import load_bundle
from ptycho_torch.bundles import model_from
from ptycho_torch.module import PtychoModule

LAST = Path("checkpoints") / "last.ckpt"
EXAMPLE = Path(__file__).parents[1] / "examples" / "small_network.py"
CLASS = "small_network:SmallNetwork"


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """The example of a network, importable, in a process that trusts no class."""
    shutil.copy(EXAMPLE, tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(networks, "_TRUSTED", set())
    monkeypatch.delitem(sys.modules, EXAMPLE.stem, raising=False)
    yield
    sys.modules.pop(EXAMPLE.stem, None)


def assert_same_network(checkpoint, result, x, positions):
    loaded = PtychoModule.load_from_checkpoint(checkpoint).eval().model
    expected = model_from(load_bundle(result.bundle_path))
    for name, value in expected.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name
    with torch.no_grad():
        found, wanted = (m(x, positions, (160, 160), 1e5) for m in (loaded, expected))
    for one, other in zip(found, wanted, strict=True):
        # a bundle has the probe at unit power, which loading scales once more
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-4)


def plain(value):
    """Whether a value consists of what `torch.load` takes from anyone."""
    if isinstance(value, dict):
        return all(plain(part) for part in (*value, *value.values()))
    if isinstance(value, list | tuple):
        return all(map(plain, value))
    return value is None or type(value) in (str, int, float, bool, torch.Tensor)


@pytest.mark.parametrize("gridsize", [1, 2])
def test_a_module_comes_back_from_its_file_alone(
    train, scan, training, execution, patterns, gridsize
):
    config = training({"gridsize": gridsize, "probe_mask": True}, nepochs=1, n_groups=16)
    result = train(scan, config, execution())
    x, positions, *_ = patterns(gridsize**2)
    assert_same_network(train.folder / LAST, result, x, positions)
    loaded = PtychoModule.load_from_checkpoint(train.folder / LAST)
    assert loaded.config == config
    assert (loaded.execution.learning_rate, loaded.monitor) == (2e-3, "train_loss")
    held = torch.load(train.folder / LAST, weights_only=True)["hyper_parameters"]
    assert set(held) == {"model", "config", "execution", "monitor"}
    assert plain(held)


def test_every_scan_and_what_is_refined_comes_back(train, scan, training, execution):
    config = training(
        nepochs=1, n_groups=16, probe_trainable=True, positions_trainable=True, batch_size=4
    )
    scans = [scan, scan.select(np.arange(20))]
    train(scans, config, execution(), test_scan=scan)
    loaded = PtychoModule.load_from_checkpoint(train.folder / LAST).model
    state = torch.load(train.folder / LAST, weights_only=True)["state_dict"]
    assert {f"model.{name}" for name in loaded.state_dict()} == set(state)
    assert [len(own.shifts) for own in loaded.scans[:2]] == [48, 20]
    assert loaded.scans[2].probe_change is loaded.scans[0].probe_change  # the validation scan's
    assert loaded.scans[0].probe_change.detach().abs().max() > 0


@pytest.mark.usefixtures("plugin")
def test_a_class_is_imported_only_if_the_caller_trusts_it(
    train, scan, training, execution, patterns, monkeypatch
):
    config = training({"architecture": CLASS}, nepochs=1, n_groups=16)
    result = train(scan, config, execution())
    monkeypatch.setattr(networks, "_TRUSTED", set())  # as in a new process
    sys.modules.pop(EXAMPLE.stem)
    with pytest.raises(InvalidValueError) as caught:
        PtychoModule.load_from_checkpoint(train.folder / LAST)
    assert (caught.value.name, caught.value.got) == ("architecture", repr(CLASS))
    assert EXAMPLE.stem not in sys.modules
    networks.trust_network(CLASS)
    x, positions, *_ = patterns(1)
    assert_same_network(train.folder / LAST, result, x, positions)


def test_a_checkpoint_from_before_is_resumed_to_the_same_end(
    train, scan, training, execution, tmp_path
):
    train(scan, training(nepochs=1, n_groups=16), execution())
    shutil.copytree(train.folder, tmp_path / "before")
    path = tmp_path / "before" / LAST
    content = torch.load(path, weights_only=True)
    del content["hyper_parameters"]
    torch.save(content, path)
    config = training(nepochs=2, n_groups=16)
    ends = [
        load_bundle(train(scan, config, execution(), output=name, resume=True).bundle_path)
        for name in ("model", "before")
    ]
    for name, value in ends[0].weights.items():
        np.testing.assert_array_equal(ends[1].weights[name], value)
