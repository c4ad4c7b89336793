import numpy as np
import pytest
from ptycho_config import ConfigError, Layer, MissingFileError, resolve_inference
from ptycho_core.run_settings import check_size, read_scan, resolve_with_bundle, scan_facts
from ptycho_core.testing import simulated_scan
from ptycho_data import Bundle, ScanFormatError, save_scan
from ptycho_data.units import object_pixel


@pytest.fixture(scope="module")
def scan():
    return simulated_scan(12)


@pytest.fixture
def scan_file(scan, tmp_path):
    save_scan(tmp_path / "scan.npz", scan)
    return tmp_path / "scan.npz"


def resolve(N, origin="bundle"):
    return resolve_inference(
        [Layer(origin, {"model": {"N": N}} if origin == "bundle" else {"N": N})]
    )


def test_size_mismatch_names_the_origin(scan):
    check_size(resolve(64), scan)
    with pytest.raises(ConfigError, match=r"N of the bundle is 128.*64 x 64"):
        check_size(resolve(128), scan)
    with pytest.raises(ConfigError, match=r"N \(config file\) is 128"):
        check_size(resolve(128, "config file"), scan)


def test_a_scan_in_memory_is_taken_as_it_is(scan):
    assert read_scan(scan, "amplitude") is scan


def test_probe_file_replaces_the_probe_of_a_file(scan_file, tmp_path):
    np.savez(tmp_path / "probe.npz", probe=np.full((2, 64, 64), 1j, np.complex64))
    assert read_scan(scan_file, probe_file=tmp_path / "probe.npz").probe.shape == (2, 64, 64)
    # The scan, which does not exist either, is not looked for.
    with pytest.raises(MissingFileError, match=r"gone\.npz: no such file"):
        read_scan(tmp_path / "scan_gone.npz", probe_file=tmp_path / "gone.npz")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ScanFormatError, match="a folder without a file of patterns"):
        read_scan(scan_file, probe_file=tmp_path / "empty")


def test_geometry_goes_to_the_reader(scan_file):
    given = {"photon_energy_ev": 9e3, "detector_distance_m": 2.0, "detector_pixel_size_m": 75e-6}
    assert read_scan(scan_file, **given).pixel_size_m == object_pixel(9e3, 2.0, 75e-6, 64)


def test_scans_decide_the_dose_where_they_agree(scan):
    from attrs import evolve

    one, other = (evolve(scan, nphotons=dose) for dose in (1e5, 2e5))
    assert scan_facts([one, one]) == {"N": 64, "nphotons": 1e5}
    assert scan_facts([one, other]) == {"N": 64}
    assert scan_facts([evolve(scan, nphotons=None)]) == {"N": 64}


def test_what_a_bundle_decides_is_recorded_as_its_own(scan):
    bundle = Bundle(
        config={"model": {"N": 64, "gridsize": 2}, "neighbor_count": 6},
        overrides_applied={}, scaling={}, probe=scan.probe, weights={}, history={},
        backend="tensorflow", versions={},
    )  # fmt: skip
    resolved = resolve_with_bundle([], bundle)
    assert (resolved.config.backend, resolved.config.neighbor_count) == ("tensorflow", 6)
    assert {resolved.origins[name] for name in ("backend", "neighbor_count", "gridsize")} == {
        "bundle"
    }
    above = resolve_with_bundle([Layer("config file", {"neighbor_count": 5})], bundle)
    assert above.overrides_applied["neighbor_count"] == {"value": 5, "origin": "config file"}
