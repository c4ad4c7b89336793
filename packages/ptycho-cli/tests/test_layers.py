import attrs
import numpy as np
import pytest
from ptycho_cli import layers
from ptycho_config import ConfigError, InferenceConfig, Layer, resolve_inference
from ptycho_data import load_scan


def resolve(N, origin="bundle"):
    values = {"model": {"N": N}} if origin == "bundle" else {"N": N}
    fixed = Layer("command line", {"model_path": "m", "test_data_file": "s"})
    return resolve_inference([fixed, Layer(origin, values)])


def test_size_mismatch_says_who_asked(scan_file):
    scan = load_scan(scan_file)
    layers.check_size(resolve(64), scan, scan_file)
    with pytest.raises(ConfigError, match=r"N of the bundle is 128.*64 x 64"):
        layers.check_size(resolve(128), scan, scan_file)
    with pytest.raises(ConfigError, match=r"N \(config file\) is 128"):
        layers.check_size(resolve(128, "config file"), scan, scan_file)


def test_probe_of_another_file(scan_file, tmp_path):
    probe = np.full((2, 64, 64), 1j, np.complex64)
    np.savez(tmp_path / "probe.npz", probe=probe)
    config = InferenceConfig(model_path="m", test_data_file=scan_file)
    assert layers.read_scan(scan_file, config).probe.shape == (1, 64, 64)
    config = attrs.evolve(config, probe_file=tmp_path / "probe.npz")
    np.testing.assert_array_equal(layers.read_scan(scan_file, config).probe, probe)
    np.savez(tmp_path / "small.npz", probe=probe[:, :32, :32])
    config = attrs.evolve(config, probe_file=tmp_path / "small.npz")
    with pytest.raises(ValueError, match="must have the 64 x 64 pixels"):
        layers.read_scan(scan_file, config)
