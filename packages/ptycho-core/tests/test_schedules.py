import pytest
from ptycho_config import Scheduler
from ptycho_config.errors import InvalidValueError
from ptycho_core.schedules import Plateau, chosen_scheduler, rate_factor


def test_warmup_cosine_rises_and_falls():
    rates = [rate_factor(Scheduler.WARMUP_COSINE, step, 100) for step in range(101)]
    assert rates[0] == pytest.approx(0.04)
    assert rates.index(max(rates)) == 20
    assert rates[-1] == pytest.approx(1e-3)


@pytest.mark.parametrize(
    ("name", "rates"),
    [
        (Scheduler.EXPONENTIAL, {0: 1.0, 5: 0.1, 10: 0.01}),
        (Scheduler.MULTI_STAGE, {0: 1.0, 4: 1.0, 5: 0.3, 8: 0.09, 9: 0.027}),
    ],
)
def test_factors_of_epochs(name, rates):
    assert {epoch: rate_factor(name, epoch, 10) for epoch in rates} == pytest.approx(rates)


def test_a_plateau_halves_the_rate_down_to_the_lowest():
    plateau, losses = Plateau(1.0), [1.0, 0.5, *[0.5] * 4, 0.4]
    assert [plateau.after(loss) for loss in losses] == [1.0] * 5 + [0.5, 0.5]
    again = Plateau(1.0)
    again.restore(plateau.state())
    assert again == plateau
    for _ in range(200):
        plateau.after(1.0)
    assert plateau.rate == Plateau.LOWEST


def test_a_network_recommends_what_default_means():
    assert chosen_scheduler("Default", "Exponential") is Scheduler.EXPONENTIAL
    assert chosen_scheduler("MultiStage", "Exponential") is Scheduler.MULTI_STAGE


@pytest.mark.parametrize("name", [Scheduler.DEFAULT, Scheduler.ADAPTIVE])
def test_what_has_no_factor_is_refused(name):
    with pytest.raises(InvalidValueError) as refused:
        rate_factor(name, 0, 1)
    assert refused.value.name == "scheduler"
