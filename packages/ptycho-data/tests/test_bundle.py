"""The model bundle: what goes in comes out, in the same bytes, from any of its forms."""

import hashlib
import json
import math
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from ptycho_config.errors import ConfigError, InvalidValueError
from ptycho_data._bundle import (
    BUNDLE_NAME,
    Bundle,
    BundleError,
    check_bundle,
    load_bundle,
    save_bundle,
)
from ptycho_data._files import OutputExistsError

MEMBERS = [
    "manifest.json",
    "config.json",
    "history.json",
    "probe.npy",
    "scaling.json",
    "weights.safetensors",
]


def make(**changes: object) -> Bundle:
    rng = np.random.default_rng(1)
    values: dict[str, object] = {
        "config": {"model": {"N": 8, "architecture": "cnn"}, "train_data_file": Path("a/b.npz")},
        "overrides_applied": {"N": {"value": 8, "origin": "data"}},
        "scaling": {"input_scale": 0.1, "domain": "counts", "nphotons": np.float64(1e6)},
        "probe": rng.normal(size=(2, 8, 8)) + 1j,
        "weights": {
            "encoder.0.conv.weight": rng.normal(size=(4, 1, 3, 3)).astype(np.float32),
            "encoder.0.conv.bias": np.zeros(4, np.float32),
            "intensity_scale": np.float32(2.5),
            "norm.num_batches_tracked": np.int64(7),
        },
        "history": {"train_loss": [3.0, 2.0], "val_loss": [math.nan, 2.5]},
        "backend": "pytorch",
        "versions": {"ptycho-data": "0.1.0"},
        "created": "2030-01-02T03:04:05+00:00",
    }
    return Bundle(**(values | changes))


def test_a_name_of_an_older_version_is_replaced_without_a_warning(recwarn):
    bundle = make(config={"imagined_batches": True})
    assert bundle.training_config.synthetic_batches
    assert not recwarn


def assert_equal(one: Bundle, two: Bundle) -> None:
    np.testing.assert_array_equal(one.probe, two.probe)
    assert one.probe.dtype == two.probe.dtype == np.complex64
    assert one.weights.keys() == two.weights.keys()
    for name, value in one.weights.items():
        assert value.shape == two.weights[name].shape
        assert value.dtype == two.weights[name].dtype
        np.testing.assert_array_equal(value, two.weights[name])
    np.testing.assert_equal(one.history, two.history)
    for name in ("backend", "versions", "created", "overrides_applied", "scaling"):
        assert getattr(one, name) == getattr(two, name)


def test_round_trip_from_every_form(tmp_path):
    bundle = make()
    file = save_bundle(tmp_path / "run", bundle)
    assert file == tmp_path / "run" / BUNDLE_NAME
    unpacked = tmp_path / "unpacked"
    with zipfile.ZipFile(file) as archive:
        archive.extractall(unpacked)
    (unpacked / "checkpoint.ckpt").write_bytes(b"another file beside the members")
    for place in (file, file.parent, unpacked, str(file)):
        back = load_bundle(place)
        assert_equal(bundle, back)
        assert back.config == {**bundle.config, "train_data_file": "a/b.npz"}


def test_a_folder_with_both_gives_the_file(tmp_path):
    file = save_bundle(tmp_path, make(created="new"))
    with zipfile.ZipFile(save_bundle(tmp_path / "old.zip", make(created="old"))) as archive:
        archive.extractall(tmp_path)
    assert file.parent == tmp_path
    assert load_bundle(tmp_path).created == "new"


def test_a_file_name_is_taken_as_given(tmp_path):
    assert save_bundle(tmp_path / "m.zip", make()) == tmp_path / "m.zip"
    assert load_bundle(tmp_path / "m.zip").backend == "pytorch"


def test_it_is_a_plain_zip_with_the_members_of_the_contract(tmp_path):
    with zipfile.ZipFile(save_bundle(tmp_path, make())) as archive:
        assert archive.namelist() == MEMBERS
        assert archive.testzip() is None
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
        manifest = json.loads(archive.read("manifest.json"))
        assert manifest["models"] == ["autoencoder", "diffraction_to_obj"]
        assert json.loads(archive.read("history.json"))["val_loss"] == [None, 2.5]
        with archive.open("probe.npy") as stream:
            assert np.load(stream, allow_pickle=False).shape == (2, 8, 8)


def test_equal_content_gives_equal_bytes(tmp_path):
    one = make()
    two = make(
        weights={k: np.array(v, order="F") for k, v in reversed(one.weights.items())},
        scaling=dict(reversed(one.scaling.items())),
        probe=one.probe.astype(">c16"),
    )
    first = save_bundle(tmp_path / "1.zip", one).read_bytes()
    assert save_bundle(tmp_path / "2.zip", two).read_bytes() == first
    third = save_bundle(tmp_path / "3.zip", make(created="later"))
    assert third.read_bytes() != first
    assert save_bundle(tmp_path / "4.zip", load_bundle(tmp_path / "1.zip")).read_bytes() == first


WEIGHTS = st.dictionaries(
    st.from_regex(r"\A[a-z0-9_]{1,5}(\.[a-z0-9_]{1,5}){0,2}\Z"),
    hnp.arrays(
        st.sampled_from([np.float16, np.float32, ">f4", np.float64, np.int64, np.bool_]),
        hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3),
    ).filter(lambda array: (np.abs(array.astype(float)) < 3e38).all()),
    max_size=4,
)


@given(weights=WEIGHTS)
def test_any_numbers_of_any_shape_come_back(tmp_path_factory, weights):
    bundle = make(weights=weights)
    assert_equal(bundle, load_bundle(save_bundle(tmp_path_factory.mktemp("w"), bundle)))


def test_an_existing_bundle_stays(tmp_path):
    save_bundle(tmp_path, make(created="first"))
    with pytest.raises(OutputExistsError, match="--overwrite"):
        save_bundle(tmp_path, make(created="second"))
    assert load_bundle(tmp_path).created == "first"
    save_bundle(tmp_path, make(created="second"), overwrite=True)
    assert load_bundle(tmp_path).created == "second"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"probe": np.ones((8, 8))}, r"probe must be of shape \(M, N, N\), got \(8, 8\)"),
        ({"probe": np.full((1, 2, 2), np.nan)}, "probe must be finite"),
        ({"weights": {"a/b": np.ones(1)}}, "dotted words, got 'a/b'"),
        ({"weights": {"a": np.array([None])}}, r"\['a'\] must be real numbers, got object"),
        ({"weights": {"a": np.ones(1, complex)}}, r"\['a'\] must be real numbers, got complex128"),
        ({"backend": "two words"}, "Bundle.backend must be a name, got 'two words'"),
    ],
)
def test_a_field_that_breaks_a_rule_is_refused(changes, message):
    with pytest.raises(InvalidValueError, match=message):
        make(**changes)


def test_a_setting_json_cannot_keep_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"Bundle.config.model.lr\[1\] must be finite"):
        save_bundle(tmp_path, make(config={"model": {"lr": [1.0, math.inf]}}))
    with pytest.raises(TypeError, match="no form in JSON"):
        save_bundle(tmp_path, make(scaling={"f": object()}))
    assert list(tmp_path.iterdir()) == []


def test_creation_time_is_utc_when_not_given():
    given = make()
    fresh = Bundle(config={}, scaling={}, probe=given.probe, weights={}, backend="tensorflow")
    assert fresh.created.endswith("+00:00")


def test_a_check_reads_no_weights_and_returns_the_manifest(tmp_path):
    manifest = check_bundle(save_bundle(tmp_path, make()))
    assert manifest["backend"] == "pytorch"
    assert sorted(manifest["members"]) == sorted(MEMBERS[1:])


def test_the_module_loads_without_safetensors(tmp_path):
    program = (
        "import sys\n"
        "sys.modules['safetensors'] = None\n"
        "from ptycho_config.errors import MissingPackageError\n"
        "from ptycho_data._bundle import check_bundle, load_bundle\n"
        "check_bundle(sys.argv[1])\n"
        "try:\n"
        "    load_bundle(sys.argv[1])\n"
        "except MissingPackageError as error:\n"
        "    assert 'ptycho-data[bundle]' in str(error)\n"
        "else:\n"
        "    raise SystemExit('no error')\n"
    )
    file = save_bundle(tmp_path, make())
    subprocess.run([sys.executable, "-c", program, str(file)], check=True)  # noqa: S603


def test_a_bundle_error_is_a_value_error():
    assert issubclass(BundleError, ValueError)


def test_the_configuration_is_parsed_once():
    settings = {"model": {"N": 64, "architecture": "cnn"}, "train_data_file": "a.npz"}
    bundle = make(config={**settings, "nepochs": 7})
    config = bundle.training_config
    assert (config.model.N, config.nepochs) == (64, 7)
    assert bundle.training_config is config
    with pytest.raises(ConfigError) as caught:
        _ = make(config={**settings, "nepochs": 0}).training_config
    assert "nepochs" in caught.value.names


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e39])
def test_weights_beyond_single_precision_are_refused(value):
    weights = {"a": np.ones(3), "b": np.array([[1.0, value]])}
    with pytest.raises(InvalidValueError, match=r"1 of 2; .*train again") as caught:
        make(weights=weights)
    assert caught.value.name == "Bundle.weights['b']"


@pytest.mark.parametrize("strength", [np.nan, np.inf, 1e37, 1e-40])
def test_a_probe_of_absurd_strength_is_refused(strength):
    with pytest.raises(InvalidValueError) as caught:
        make(probe=np.full((1, 4, 4), strength))
    assert caught.value.name == "Bundle.probe"


@pytest.mark.parametrize(
    ("scaling", "name"),
    [
        (None, "Bundle.scaling"),
        ({"scans": None}, "Bundle.scaling.scans"),
        ({"scans": [None]}, "Bundle.scaling.scans[0]"),
        ({"scans": [{"patterns": 1}, {"photons": "1"}]}, "Bundle.scaling.scans[1].photons"),
        ({"photons": 10**400}, "Bundle.scaling.photons"),
        ({"photons": True}, "Bundle.scaling.photons"),
        ({"input_scale": 0}, "Bundle.scaling.input_scale"),
        ({"intensity_scale": 1e308}, "Bundle.scaling.intensity_scale"),
        ({"domain": ["counts"]}, "Bundle.scaling.domain"),
        ({"probe_given": "no"}, "Bundle.scaling.probe_given"),
    ],
)
def test_scaling_is_checked_field_by_field(scaling, name):
    with pytest.raises(InvalidValueError) as caught:
        make(scaling=scaling)
    assert caught.value.name == name


def test_a_statistic_that_is_missing_is_named():
    assert make(scaling={"photons": 10}).statistic("photons") == 10.0
    with pytest.raises(InvalidValueError) as caught:
        make(scaling={}).statistic("photons")
    assert caught.value.name == "Bundle.scaling.photons"


def test_a_bundle_names_the_model_that_it_started_from(tmp_path):
    old = make()
    assert (old.start, old.start_text) == ({}, "")
    new = evolve(old, start={"name": "old", **old.identity})
    save_bundle(tmp_path / "new.zip", new)
    assert load_bundle(tmp_path / "new.zip").start == new.start
    assert new.start_text in repr(new)
    with zipfile.ZipFile(tmp_path / "new.zip") as archive:
        data = archive.read("weights.safetensors")
    assert new.identity["weights_sha256"] == hashlib.sha256(data).hexdigest()
    for start in ({"name": "old"}, {"weights_sha256": "0"}, [1], {**new.start, "name": 3}):
        with pytest.raises(InvalidValueError, match="start"):
            evolve(old, start=start)
