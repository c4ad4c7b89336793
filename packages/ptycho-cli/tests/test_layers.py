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


def test_probe_file_stands_in_for_the_scan_s_probe(scan_file, tmp_path):
    np.savez(tmp_path / "probe.npz", probe=np.full((2, 64, 64), 1j, np.complex64))
    config = InferenceConfig(
        model_path="m", test_data_file=scan_file, probe_file=tmp_path / "probe.npz"
    )
    assert layers.read_scan(scan_file, config).probe.shape == (2, 64, 64)
    # That it is missing is told at once: the scan, which is not there either, was not looked for.
    config = attrs.evolve(config, probe_file=tmp_path / "gone.npz")
    with pytest.raises(FileNotFoundError, match=r"gone\.npz: no such file; name an NPZ"):
        layers.read_scan(tmp_path / "scan_gone.npz", config)
    config = attrs.evolve(config, probe_file=tmp_path)
    with pytest.raises(FileNotFoundError, match="found a folder; name an NPZ"):
        layers.read_scan(scan_file, config)
