import math

import pytest
from ptycho_physics import DivergenceError
from ptycho_physics.solver._stopping import Watch


def epochs_until_stop(values, **options):
    watch = Watch(**{"tolerance": 0.01, "patience": 2} | options)
    for epoch, value in enumerate(values, 1):
        if watch.add(value):
            return epoch
    return None


def test_stops_when_the_fall_over_the_last_epochs_is_small():
    assert epochs_until_stop([1.0, 0.5, 0.3, 0.299, 0.2985, 0.2984]) == 5


def test_goes_on_while_it_falls_or_without_tolerance():
    assert epochs_until_stop([0.9**k for k in range(30)]) is None
    assert epochs_until_stop([0.3] * 30, tolerance=None) is None


def test_a_plateau_before_all_is_refined_does_not_count():
    assert epochs_until_stop([0.3] * 20, settled=6) == 9


def test_a_jump_is_a_divergence_and_a_small_rise_is_not():
    watch = Watch(tolerance=None, patience=2)
    for value in (0.4, 0.2, 0.3):
        watch.add(value)
    with pytest.raises(DivergenceError, match=r"diverged in epoch 4: R-factor 0.61 after 0.2"):
        watch.add(0.61)
    assert watch.r_factors == [0.4, 0.2, 0.3]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_finite_is_a_divergence(value):
    with pytest.raises(DivergenceError, match="no longer finite"):
        Watch(tolerance=None, patience=2).add(value)
