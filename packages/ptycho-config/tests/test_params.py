import attrs
import pytest
from ptycho_config import (
    LEGACY_KEYS,
    InferenceConfig,
    ModelConfig,
    PyTorchExecutionConfig,
    TrainingConfig,
    params,
    update_legacy_dict,
)

CONFIG = TrainingConfig(model=ModelConfig(N=128, gridsize=2))


@pytest.fixture(autouse=True)
def empty():
    params.cfg.clear()
    yield
    params.cfg.clear()


def test_what_is_set_can_be_read():
    params.set("intensity_scale", 3.5)
    assert params.get("intensity_scale") == params.cfg["intensity_scale"] == 3.5


def test_the_dictionary_is_the_one_that_is_written_and_read():
    update_legacy_dict(params.cfg, CONFIG)
    assert params.get("N") == 128
    assert params.get("object.big") is True
    params.cfg["N"] = 64
    assert params.get("N") == 64


@pytest.mark.parametrize("key", sorted(LEGACY_KEYS.values()))
def test_nothing_has_a_value_before_a_configuration_is_in(key):
    with pytest.raises(KeyError, match="has no value yet: update_legacy_dict"):
        params.get(key)


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("object_big", "did you mean object.big?"),
        ("output_dir", "did you mean output_prefix?"),
        ("gridsiz", "did you mean gridsize?"),
        ("intensity_scal", "did you mean intensity_scale?"),
        ("zzzz", "zzzz is no key of params.cfg"),
        (7, "7 is no key of params.cfg"),
    ],
)
def test_unknown_keys_get_a_suggestion(key, hint):
    params.set("intensity_scale", 1.0)
    with pytest.raises(KeyError) as caught:
        params.get(key)
    assert caught.value.args[0].endswith(hint)


def test_populating_again_with_the_same_changes_nothing():
    params.set("mine", 1)
    params.populate_legacy_params(CONFIG)
    before = dict(params.cfg)
    params.populate_legacy_params(CONFIG)
    assert params.cfg == before
    assert params.get("mine") == 1
    assert params.get("gridsize") == 2


def test_another_configuration_needs_force():
    params.populate_legacy_params(CONFIG)
    other = attrs.evolve(CONFIG, nepochs=7, model=ModelConfig(N=64))
    before = dict(params.cfg)
    with pytest.raises(ValueError, match=r"N is 128, not 64, gridsize is 2, not 1, .*force=True"):
        params.populate_legacy_params(other)
    assert params.cfg == before
    params.populate_legacy_params(other, force=True)
    assert (params.get("N"), params.get("nepochs")) == (64, 7)


def test_a_value_changed_by_hand_is_not_overwritten_unasked():
    params.populate_legacy_params(CONFIG)
    params.set("nepochs", 3)
    with pytest.raises(ValueError, match="nepochs is 3, not 50"):
        params.populate_legacy_params(CONFIG)


def test_long_lists_of_conflicts_are_cut():
    params.populate_legacy_params(CONFIG)
    config = InferenceConfig(
        model=ModelConfig(amp_activation="relu", n_filters_scale=1, probe_scale=2),
    )
    with pytest.raises(ValueError, match=r"\d more\)"):
        params.populate_legacy_params(config)


def test_execution_settings_stay_out():
    with pytest.raises(TypeError, match="no fields with legacy keys"):
        params.populate_legacy_params(PyTorchExecutionConfig(), force=True)
    assert params.cfg == {}
