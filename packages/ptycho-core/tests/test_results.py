"""What trainings and reconstructions share, whatever computes them."""

import logging
from pathlib import Path

import numpy as np
import pytest
from attrs import evolve
from ptycho_config import ModelConfig, PyTorchExecutionConfig, TrainingConfig
from ptycho_config.errors import InvalidValueError
from ptycho_core.checks import check_fit, check_trained_on, warn_if_few
from ptycho_core.probe_choice import choose_probe, given_probe
from ptycho_core.results import TrainingInterrupted, TrainingResult
from ptycho_core.resuming import (
    CHANGES,
    check_resumed,
    rate_ratio,
    resumed_changes,
    resumed_state,
)
from ptycho_core.testing import random_scan
from ptycho_data import Bundle


@pytest.fixture
def scan():
    return random_scan()


@pytest.fixture
def bundle(scan):
    return Bundle(
        config={}, overrides_applied={}, scaling={}, probe=2 * scan.probe,
        weights={"w": np.ones(1, np.float32)}, history={}, backend="pytorch", versions={},
    )  # fmt: skip


def test_which_probe_is_used(scan, bundle, caplog):
    caplog.set_level(logging.INFO)
    assert choose_probe(bundle, scan) is scan.probe
    refined, given = ({"probe_trainable": True}, {}), ({}, {"probe_given": True})
    for config, scaling in (refined, given):
        own = evolve(bundle, config=config, scaling=scaling)
        assert choose_probe(own, scan) is own.probe
    other = 3 * scan.probe
    assert choose_probe(own, scan, other) is other
    several = {"scans": [{}, {}]}  # each scan refined its own probe
    own = evolve(bundle, config={"probe_trainable": True}, scaling=several)
    assert choose_probe(own, scan) is scan.probe
    own = evolve(bundle, scaling={"probe_given": True, **several})
    assert choose_probe(own, scan) is bundle.probe
    larger = evolve(own, probe=np.ones((1, 16, 16), np.complex64))
    assert choose_probe(larger, scan) is scan.probe
    assert len(caplog.messages) == 6  # each choice; of a given one it was told who gave it
    assert given_probe(other, None, scan.N) is not None
    assert caplog.messages[6:] == ["probe: as given"]
    with pytest.raises(InvalidValueError) as caught:
        choose_probe(bundle, scan, larger.probe)
    assert "probe" in caught.value.name


def test_another_size_is_refused_unless_the_network_takes_any(scan):
    check_fit(8, scan, any_size=False)
    check_fit(64, scan, any_size=True)
    with pytest.raises(InvalidValueError) as caught:
        check_fit(64, scan, any_size=False)
    assert (caught.value.name, caught.value.got) == ("N of the scan", "8")


def test_scans_to_train_on_have_the_size_of_the_model(scan, caplog):
    check_trained_on(scan, 8)
    assert not caplog.messages
    check_trained_on(scan.select([0, 1]), 8)
    assert caplog.messages[0].startswith("only 2 patterns with hardly any overlap: training")
    stored = evolve(scan, source=Path("a.npz"))
    with pytest.raises(InvalidValueError) as caught:
        check_trained_on(stored, 64)
    assert (caught.value.name, caught.value.got) == ("N of a.npz", "8")


def test_few_patterns_deserve_a_remark(caplog):
    warn_if_few(4, "nothing")
    assert not caplog.messages
    warn_if_few(3, "training may fail", "scan.npz: ")
    warn_if_few(1, "that is that")
    assert caplog.messages == [
        "scan.npz: only 3 patterns with hardly any overlap: training may fail",
        "only 1 pattern with hardly any overlap: that is that",
    ]


def test_an_interrupt_carries_the_result_and_says_how_to_go_on(tmp_path):
    result = TrainingResult(bundle_path=tmp_path, history={}, seconds=1.0, epochs=2)
    with pytest.raises(
        KeyboardInterrupt, match="interrupted after 2 epochs: continue with"
    ) as stopped:
        raise TrainingInterrupted(result)
    assert stopped.value.result is result


def test_a_bundle_s_probe_that_is_quite_another_is_warned_of(scan, bundle, caplog):
    refined = evolve(bundle, config={"probe_trainable": True})
    other = evolve(scan, probe=np.roll(scan.probe, 4, axis=-1) * np.exp(1j * np.arange(8)))
    choose_probe(refined, scan)
    assert not caplog.messages
    choose_probe(refined, other)
    assert "the bundle's and the scan's differ strongly (overlap 0." in caplog.text


def test_other_scans_are_told_from_the_same_ones(scan):
    config = TrainingConfig(model=ModelConfig(N=64))
    execution = PyTorchExecutionConfig(learning_rate=1e-3)
    state = resumed_state(config, execution, [scan])
    check_resumed(
        Path("last"), state, resumed_state(config, execution, [evolve(scan, source=Path("moved"))])
    )
    others = (
        [scan, scan],
        [scan.select(range(scan.n - 1))],
        [evolve(scan, xcoords=scan.xcoords + 1e-3)],
        [evolve(scan, diffraction=2 * scan.diffraction, known_totals=None)],
    )
    for scans in others:
        with pytest.raises(ValueError, match="scans must be as in last,"):
            check_resumed(Path("last"), state, resumed_state(config, execution, scans))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("joint_stages", True),
        ("n_filters_scale", 3),
        ("probe_trainable", True),
        ("positions_trainable", True),
        ("average_weights", True),
        ("intensity_scale_trainable", False),
        ("scheduler", "Exponential"),
    ],
)
def test_a_training_resumes_with_the_settings_it_began_with(scan, name, value):
    config = TrainingConfig(model=ModelConfig(N=64))
    execution = PyTorchExecutionConfig(learning_rate=1e-3)
    before = resumed_state(config, execution, [scan])
    if hasattr(execution, name):
        execution = evolve(execution, **{name: value})
    elif hasattr(config, name):
        config = evolve(config, **{name: value})
    else:
        config = evolve(config, model=evolve(config.model, **{name: value}))
    with pytest.raises(InvalidValueError) as refused:
        check_resumed(Path("last"), before, resumed_state(config, execution, [scan]))
    assert (refused.value.name, refused.value.got) == (name, str(value))


def test_epochs_and_learning_rate_may_change_on_resuming(scan, caplog):
    caplog.set_level("INFO")

    def state(nepochs, rate):
        config = TrainingConfig(model=ModelConfig(N=64), nepochs=nepochs)
        return resumed_state(config, PyTorchExecutionConfig(learning_rate=rate), [scan])

    first, second, third = state(20, 1e-3), state(40, 1e-3), state(40, 5e-4)
    check_resumed(Path("last"), first, third)
    assert resumed_changes(20, first, first) == []
    second[CHANGES] = resumed_changes(20, first, second)
    assert second[CHANGES] == [{"epoch": 21, "nepochs": [20, 40]}]
    check_resumed(Path("last"), second, third)
    third[CHANGES] = resumed_changes(30, second, third)
    assert third[CHANGES][1:] == [{"epoch": 31, "learning_rate": [1e-3, 5e-4]}]
    assert caplog.messages == [
        "resuming with nepochs 40 instead of 20",
        "resuming with learning_rate 0.0005 instead of 0.001",
    ]
    assert rate_ratio(second, third) == 0.5
    assert rate_ratio({}, third) == 1  # of a checkpoint that has no settings
