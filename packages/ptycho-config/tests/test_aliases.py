import warnings

import pytest
from ptycho_config import (
    DEPRECATED_ALIASES,
    ConfigError,
    Layer,
    TrainingConfig,
    current_flags,
    from_dict,
    resolve_alias,
    resolve_training,
)


@pytest.mark.parametrize(
    ("old", "value", "field", "expected"),
    [
        ("n_images", 64, "n_groups", 64),
        ("device", "cpu", "accelerator", "cpu"),
        ("imagined_batches", True, "synthetic_batches", True),
        ("disable_mlflow", True, "logger_backend", "none"),
        ("disable_mlflow", False, "logger_backend", "csv"),
    ],
)
def test_old_names_map_and_warn_once(old, value, field, expected):
    with pytest.warns(DeprecationWarning, match=f"^{old} is deprecated, use {field}") as caught:
        resolved = resolve_training([Layer("override", {old: value})])
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert resolved.overrides_applied[field] == {"value": expected, "origin": "override"}


def test_default_filters_report_a_calling_line_once():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            from_dict(TrainingConfig, {"n_images": 4})
    assert len(caught) == 1


def test_the_flag_as_written_can_be_named():
    with pytest.warns(DeprecationWarning, match=r"^--device is deprecated, use accelerator$"):
        assert resolve_alias("device", "gpu", "--device") == ("accelerator", "gpu")


def test_old_and_new_name_together_are_a_mistake():
    with (
        pytest.warns(DeprecationWarning, match="n_images"),
        pytest.raises(ConfigError, match="n_groups must be given once"),
    ):
        from_dict(TrainingConfig, {"n_images": 4, "n_groups": 4})


def test_a_bad_value_is_reported_under_the_new_name():
    with (
        pytest.warns(DeprecationWarning, match="disable_mlflow"),
        pytest.raises(ConfigError, match=r"logger_backend must be one of .*, got 'yes'"),
    ):
        resolve_training([Layer("override", {"disable_mlflow": "yes"})])


def test_aliases_point_to_fields_of_a_training_run():
    names = resolve_training([]).origins
    assert {alias.target for alias in DEPRECATED_ALIASES.values()} <= set(names)


KNOWN = ["-o", "--batch-size", "--n-groups", "--accelerator", "--logger-backend", "--max_epochs"]


@pytest.mark.parametrize(
    ("typed", "used", "warned"),
    [
        (["--batch_size", "4"], ["--batch-size", "4"], ["--batch_size is deprecated, use --batch"]),
        (["--batch_size=4"], ["--batch-size=4"], ["--batch_size is deprecated"]),
        (["--n_images", "9"], ["--n-groups", "9"], ["--n_images is deprecated, use n_groups"]),
        (["--n-images=9"], ["--n-groups=9"], ["--n-images is deprecated, use n_groups"]),
        (["--device", "cpu"], ["--accelerator", "cpu"], ["--device is deprecated"]),
        (
            ["--disable_mlflow", "-o", "x"],
            ["--logger-backend", "none", "-o", "x"],
            ["--disable_mlflow is deprecated, use logger_backend = 'none'"],
        ),
        (["--max-epochs", "3"], ["--max_epochs", "3"], []),
        (["--max_epochs", "--batch-size"], ["--max_epochs", "--batch-size"], []),
        (["--what_is_this", "1"], ["--what_is_this", "1"], []),
        (["scan_file.npz", "-o_x"], ["scan_file.npz", "-o_x"], []),
        (["--", "--batch_size"], ["--", "--batch_size"], []),
    ],
)
def test_flags_of_old_scripts(typed, used, warned):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert current_flags(typed, KNOWN) == used
    assert len(caught) == len(warned)
    for warning, start in zip(caught, warned, strict=True):
        assert str(warning.message).startswith(start)
        assert warning.category is DeprecationWarning
        assert warning.filename == __file__


def test_flags_a_command_does_not_have_are_left_for_it_to_refuse():
    assert current_flags(["--device", "cpu"], ["--batch-size"]) == ["--device", "cpu"]
