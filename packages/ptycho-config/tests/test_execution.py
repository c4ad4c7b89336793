import pytest
from ptycho_config import ConfigError, InvalidValueError, PyTorchExecutionConfig, Scheduler, to_dict


def problems(**values):
    with pytest.raises(ConfigError) as caught:
        PyTorchExecutionConfig(**values)
    return caught.value.problems


def test_defaults_are_the_contract():
    assert to_dict(PyTorchExecutionConfig()) == {
        "accelerator": "auto",
        "devices": 1,
        "num_nodes": 1,
        "strategy": "auto",
        "precision": "32-true",
        "deterministic": True,
        "gradient_clip_val": 1.0,
        "gradient_clip_algorithm": "norm",
        "accum_steps": 1,
        "num_workers": 0,
        "pin_memory": False,
        "persistent_workers": False,
        "prefetch_factor": None,
        "learning_rate": None,
        "scheduler": "Default",
        "enable_progress_bar": True,
        "enable_checkpointing": True,
        "checkpoint_save_top_k": 1,
        "checkpoint_monitor_metric": "val_loss",
        "checkpoint_mode": "min",
        "early_stop_patience": 100,
        "logger_backend": "csv",
        "inference_batch_size": None,
        "middle_trim": 0,
        "pad_eval": False,
    }


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("accelerator", "quantum"),
        ("devices", 0),
        ("deterministic", "yes"),
        ("deterministic", 1),
        ("accum_steps", 0),
        ("num_workers", -1),
        ("learning_rate", 0),
        ("learning_rate", -1e-3),
        ("scheduler", "default"),
        ("scheduler", ["Default"]),
        ("checkpoint_save_top_k", -2),
        ("checkpoint_mode", "best"),
        ("early_stop_patience", 0),
        ("logger_backend", None),
        ("inference_batch_size", 0),
        ("gradient_clip_val", 0),
        ("middle_trim", -1),
        ("precision", 16),
    ],
)
def test_bad_value_names_field_rule_and_value(field, value):
    (problem,) = problems(**{field: value})
    assert problem.startswith(f"{field} must be ")
    assert problem.endswith(f", got {value!r}")


@pytest.mark.parametrize("value", [True, False, "warn"])
def test_deterministic_keeps_its_three_states(value):
    assert PyTorchExecutionConfig(deterministic=value).deterministic is value


@pytest.mark.parametrize("field", ["persistent_workers", "prefetch_factor"])
def test_loader_settings_need_workers(field):
    value = {"persistent_workers": True, "prefetch_factor": 2}[field]
    (problem,) = problems(**{field: value})
    assert problem.startswith(f"{field} must be ")
    assert "num_workers" in problem
    PyTorchExecutionConfig(num_workers=1, **{field: value})


@pytest.mark.parametrize("scheduler", list(Scheduler))
def test_scheduler_by_name_is_the_member(scheduler):
    assert PyTorchExecutionConfig(scheduler=scheduler.value).scheduler is scheduler


def test_the_loss_that_decides():
    default, training = PyTorchExecutionConfig(), "train_loss"
    assert default.monitor(validated=True) == "val_loss"
    assert default.monitor(validated=False) == training
    asked = PyTorchExecutionConfig(checkpoint_monitor_metric=training)
    assert asked.monitor(validated=True) == asked.monitor(validated=False) == training


@pytest.mark.parametrize(("validated", "known"), [(True, "train_loss, val_loss"), (False, "train")])
def test_a_loss_that_is_never_logged_cannot_decide(validated, known):
    execution = PyTorchExecutionConfig(checkpoint_monitor_metric="val_accuracy")
    with pytest.raises(InvalidValueError) as refused:
        execution.monitor(validated=validated)
    assert refused.value.name == "checkpoint_monitor_metric"
    assert refused.value.rule.startswith(f"one of {known}")


def test_a_network_s_rate_fills_in_where_none_was_asked_for():
    assert PyTorchExecutionConfig().at_rate(2e-3).learning_rate == 2e-3
    asked = PyTorchExecutionConfig(learning_rate=5e-3)
    assert asked.at_rate(2e-3) is asked
