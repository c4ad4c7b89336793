import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from attrs import evolve, exceptions
from ptycho_config import (
    ConfigError,
    ModelConfig,
    PyTorchExecutionConfig,
    Scheduler,
    TrainingConfig,
    params,
    to_dict,
)
from ptycho_data import Bundle, BundleError, ScanFormatError, save_bundle, save_scan
from ptycho_torch.config_factory import (
    create_inference_payload,
    create_training_payload,
    infer_probe_size,
    populate_legacy_params,
)


@pytest.fixture
def scan_file(scan, tmp_path):
    path = tmp_path / "scan.npz"
    save_scan(path, scan.select(np.arange(9)))
    return path


@pytest.fixture
def sparse(tmp_path):
    """A scan of ten gigabytes of which next to nothing is on the disk."""
    path = tmp_path / "huge.npz"
    big = zipfile.ZipInfo("diffraction.npy")
    big.CRC = big.header_offset = 0
    big.file_size = big.compress_size = 10 * 2**30
    with path.open("wb") as file:
        file.write(big.FileHeader(zip64=True))
        file.truncate(file.tell() + big.file_size)
    with zipfile.ZipFile(path, "a") as archive:
        archive.filelist.append(big)
        archive.NameToInfo[big.filename] = big
        with archive.open("probeGuess.npy", "w") as stream:
            np.lib.format.write_array(stream, np.ones((3, 128, 128), np.complex64))
    return path


@pytest.fixture
def bundle_folder(tmp_path):
    """A bundle trained with gridsize 2 and seven neighbours."""
    config = TrainingConfig(
        model=ModelConfig(gridsize=2, architecture="unrolled"),
        neighbor_count=7,
        backend="tensorflow",
    )
    bundle = Bundle(
        config=to_dict(config),
        overrides_applied={},
        scaling={"photons": 1.0},
        probe=np.ones((1, 64, 64), np.complex64),
        weights={"w": np.ones(3, np.float32)},
        history={},
        backend="tensorflow",
        versions={},
    )
    save_bundle(tmp_path / "model", bundle)
    return tmp_path / "model"


@pytest.fixture(autouse=True)
def legacy():
    params.cfg.clear()
    yield params.cfg
    params.cfg.clear()


def test_import_loads_no_framework():
    code = "import sys, ptycho_torch.config_factory; print(*sys.modules)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - our own
    assert not {"torch", "lightning", "tensorflow"} & set(done.stdout.split())


def test_the_size_of_ten_gigabytes_is_known_without_reading_them(sparse):
    assert sparse.stat().st_size > 10 * 2**30
    assert infer_probe_size(sparse) == 128
    assert infer_probe_size(str(sparse)) == 128
    assert create_training_payload(sparse, "out").config.model.N == 128


def test_every_source_of_a_training_payload(scan_file, tmp_path):
    execution = PyTorchExecutionConfig(learning_rate=1e-4, num_workers=2, scheduler="Exponential")
    overrides = {
        "gridsize": 2,
        "n_groups": 5,
        "execution": {"num_workers": 1},
        "model": {"architecture": "unrolled"},
    }
    payload = create_training_payload(scan_file, tmp_path / "out", execution, overrides)
    config = payload.config
    assert (payload.files.train_data_file, payload.files.output_dir) == (
        scan_file,
        tmp_path / "out",
    )
    assert (config.model.gridsize, config.model.architecture, config.n_groups) == (
        2,
        "unrolled",
        5,
    )
    assert (config.model.N, config.backend) == (64, "pytorch")
    assert payload.execution == PyTorchExecutionConfig(
        learning_rate=1e-4, num_workers=1, scheduler=Scheduler.EXPONENTIAL
    )
    origins = {name: entry["origin"] for name, entry in payload.overrides_applied.items()}
    assert origins == {
        "gridsize": "override",
        "architecture": "override",
        "n_groups": "override",
        "num_workers": "override",
        "N": "data",
        "backend": "command default",
        # all that was given, at its default or not
        **{name: "execution" for name in to_dict(execution) if name != "num_workers"},
    }
    assert payload.execution_config is payload.execution
    assert json.loads(json.dumps(payload.overrides_applied)) == payload.overrides_applied


def test_payloads_are_frozen(scan_file):
    payload = create_training_payload(scan_file, "out")
    with pytest.raises(exceptions.FrozenInstanceError):
        payload.config = None


def test_photons_that_the_scan_states_win_over_the_default_only(scan, scan_file):
    save_scan(scan_file, evolve(scan, nphotons=3e5), overwrite=True)
    assert create_training_payload(scan_file, "o").config.nphotons == 3e5
    explicit = create_training_payload(scan_file, "o", overrides={"nphotons": 2e5})
    assert explicit.config.nphotons == 2e5


def test_an_explicit_size_wins_over_that_of_the_probe(scan_file):
    payload = create_training_payload(scan_file, "o", overrides={"N": 128})
    assert payload.config.model.N == 128
    assert payload.overrides_applied["N"] == {"value": 128, "origin": "override"}


@pytest.mark.parametrize("gridsize", [1, 2, 3])
def test_gridsize_needs_no_other_override(scan_file, gridsize):
    config = create_training_payload(scan_file, "o", overrides={"gridsize": gridsize}).config
    assert config.model.channels == gridsize**2
    assert config.neighbor_count >= gridsize**2 - 1


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"gridsize": 9}, "gridsize must be an integer from 1 to 5, got 9"),
        ({"batch_sise": 4}, "batch_sise is not a setting, did you mean batch_size?"),
        ({"learning_rate": 0, "n_groups": 0}, r"n_groups must be .*; learning_rate must be "),
        ({"gridsize": 3, "neighbor_count": 4}, "neighbor_count must be >= 8"),
        ({"backend": "tensorflow"}, "backend must be pytorch .* got 'tensorflow' .override"),
        ({"output_dir": "x"}, "output_dir must be given once"),
        ({"debug": True}, "debug belongs to inference"),
    ],
)
def test_bad_fields_are_value_errors(scan_file, overrides, message):
    with pytest.raises(ValueError, match=message) as caught:
        create_training_payload(scan_file, "o", overrides=overrides)
    assert isinstance(caught.value, ConfigError)


def test_bad_sizes_of_the_data_say_so(scan_file):
    np.savez(scan_file, probeGuess=np.ones((65, 65), complex))
    with pytest.raises(ConfigError, match=r"N must be one of 64, 128, 256, got 65 \(data .*scan"):
        create_training_payload(scan_file, "o")
    np.savez(scan_file, probe=np.ones((64, 64), complex))
    with pytest.raises(ScanFormatError, match="probeGuess"):
        create_training_payload(scan_file, "o")


@pytest.mark.parametrize("execution", [{"accelerator": "cpu"}, "cpu", TrainingConfig])
def test_execution_settings_must_be_some(scan_file, execution):
    with pytest.raises(ConfigError, match="execution_config must be a PyTorchExecutionConfig"):
        create_training_payload(scan_file, "o", execution)


def test_missing_files_are_file_not_found(scan_file, bundle_folder, tmp_path):
    gone = tmp_path / "gone.npz"
    (tmp_path / "empty").mkdir()
    calls = [
        lambda: infer_probe_size(gone),
        lambda: create_training_payload(gone, "o"),
        lambda: create_training_payload(scan_file, "o", overrides={"test_data_file": gone}),
        lambda: create_training_payload(scan_file, "o", overrides={"probe_file": gone}),
        lambda: create_inference_payload(bundle_folder, gone, "o"),
        lambda: create_inference_payload(tmp_path / "gone", scan_file, "o"),
        lambda: create_inference_payload(tmp_path / "empty", scan_file, "o"),
    ]
    for call in calls:
        with pytest.raises(FileNotFoundError, match=r"gone|empty"):
            call()


def test_an_inference_payload_has_the_model_of_the_bundle(bundle_folder, scan_file, tmp_path):
    execution = PyTorchExecutionConfig(inference_batch_size=7)
    payload = create_inference_payload(
        bundle_folder, scan_file, tmp_path / "o", execution, {"n_groups": 3}
    )
    config = payload.config
    assert config.model == ModelConfig(gridsize=2, architecture="unrolled")
    assert (config.n_groups, config.neighbor_count, config.backend) == (3, 7, "pytorch")
    assert payload.execution == execution
    origins = {name: entry["origin"] for name, entry in payload.overrides_applied.items()}
    assert origins["gridsize"] == "bundle"
    assert origins["neighbor_count"] == "command default"
    assert origins["inference_batch_size"] == "execution"
    by_file = create_inference_payload(bundle_folder / "wts.h5.zip", scan_file, "o")
    assert by_file.config.model == config.model


def test_another_model_than_that_of_the_bundle_is_refused(bundle_folder, scan_file):
    same = {"gridsize": 2, "neighbor_count": 5}
    assert create_inference_payload(bundle_folder, scan_file, "o", overrides=same)
    with pytest.raises(ConfigError, match=r"gridsize must be that of the bundle, 2, got 1 .over"):
        create_inference_payload(bundle_folder, scan_file, "o", overrides={"gridsize": 1})


def test_what_is_no_bundle_is_a_value_error(scan_file, tmp_path):
    (tmp_path / "wts.h5.zip").write_text("no bundle")
    with pytest.raises(BundleError, match=r"wts\.h5\.zip"):
        create_inference_payload(tmp_path, scan_file, "o")


def test_the_configuration_is_logged(scan_file, caplog):
    with caplog.at_level("INFO", logger="ptycho_torch"):
        create_training_payload(scan_file, "o", overrides={"n_groups": 5})
    assert "settings from data: N=64" in caplog.messages
    assert any("n_groups=5" in text for text in caplog.messages)


def test_a_payload_reaches_the_legacy_dictionary(scan_file, legacy):
    payload = create_training_payload(scan_file, "out", overrides={"gridsize": 2})
    assert (legacy["N"], legacy["gridsize"], legacy["output_prefix"]) == (64, 2, "out")
    populate_legacy_params(payload.config)
    populate_legacy_params(payload.files)
    other = evolve(payload.config, model=evolve(payload.config.model, gridsize=1))
    with pytest.raises(ValueError, match="gridsize is 2, not 1"):
        populate_legacy_params(other)
    create_training_payload(scan_file, "out", overrides={"gridsize": 1})
    assert legacy["gridsize"] == 1
    assert "learning_rate" not in legacy
