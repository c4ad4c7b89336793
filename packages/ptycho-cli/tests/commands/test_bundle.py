import json

import numpy as np
import pytest
from ptycho_config import TrainingConfig, to_dict
from ptycho_data import Bundle, save_bundle


@pytest.fixture
def path(tmp_path):
    bundle = Bundle(
        config=to_dict(TrainingConfig()),
        overrides_applied={},
        scaling={"photons": 1e6},
        probe=np.ones((2, 64, 64), np.complex64),
        weights={"a.weight": np.ones((2, 3), np.float32), "a.bias": np.ones(3, np.float32)},
        history={"train_loss": [2.0, 1.0]},
        backend="pytorch",
        versions={"numpy": "2"},
    )
    return save_bundle(tmp_path, bundle)


def test_show(ptycho, path):
    for given in (path, path.parent):
        done = ptycho("bundle", "show", given)
        assert done.code == 0
        for words in ("pytorch", "9 in 2 arrays", "2 mode(s)", "2 -> 1 in 2 epochs", "model.N"):
            assert words in done.out


def test_show_json(ptycho, path):
    report = json.loads(ptycho("bundle", "show", path, "--json").out)
    assert report["weights"] == {"a.weight": [2, 3], "a.bias": [3]}
    assert report["configuration"]["model"]["N"] == 64


def test_check(ptycho, path):
    done = ptycho("bundle", "check", path)
    assert done.code == 0
    assert "intact, 5 members, trained with pytorch" in done.out


def test_damage_is_found(ptycho, path, tmp_path):
    data = bytearray(path.read_bytes())
    at = data.find(b"nepochs")
    data[at] ^= 1
    (tmp_path / "bad.zip").write_bytes(data)
    done = ptycho("bundle", "check", tmp_path / "bad.zip")
    assert done.code == 1
    assert done.fails_with("bad.zip", "config.json")
    (tmp_path / "text.zip").write_text("hello")
    assert ptycho("bundle", "show", tmp_path / "text.zip").fails_with("text.zip")
    assert ptycho("bundle", "check", tmp_path / "gone.zip").code == 2
