import pytest
from ptycho_config import Scheduler
from ptycho_tf.schedules import Schedule, warmup_cosine


def schedule(name, epochs=10):
    return Schedule(name, 1.0, steps_per_epoch=10, epochs=epochs, monitor="val_loss")


def test_warmup_cosine_rises_and_falls():
    rates = [warmup_cosine(step, 100) for step in range(101)]
    assert rates[0] == pytest.approx(0.04)
    assert rates.index(max(rates)) == 20
    assert rates[-1] == pytest.approx(1e-3)


@pytest.mark.parametrize(
    ("name", "rates"),
    [
        (Scheduler.EXPONENTIAL, {0: 1.0, 5: 0.1, 10: 0.01}),
        (Scheduler.MULTI_STAGE, {0: 1.0, 4: 1.0, 5: 0.3, 8: 0.09, 9: 0.027}),
        (Scheduler.WARMUP_COSINE, {0: 0.04, 2: 1.0, 10: 1e-3}),
    ],
)
def test_rates_of_epochs(name, rates):
    made = schedule(name)
    assert {epoch: made.rate(epoch, 10 * epoch) for epoch in rates} == pytest.approx(rates)


@pytest.mark.parametrize(
    ("name", "watched"),
    [(Scheduler.REDUCE_LR_ON_PLATEAU, "val_loss"), (Scheduler.ADAPTIVE, "loss")],
)
def test_a_plateau_halves_the_rate(name, watched):
    made, losses = schedule(name), [1.0, 0.5, *[0.5] * 4, 0.4]
    rates = []
    for epoch, loss in enumerate(losses):
        rates.append(made.rate(epoch, 0))
        made.on_epoch_end(epoch, {"loss": 9.0, "val_loss": 9.0, watched: loss})
    assert rates == [1.0] * 6 + [0.5]
    other = schedule(name)
    other.restore(made.state())
    assert (other.rate(7, 0), other.best, other.waited) == (0.5, 0.4, 0)


def test_default_is_for_the_caller_to_resolve():
    with pytest.raises(ValueError, match="scheduler: a schedule expected, found Default"):
        schedule(Scheduler.DEFAULT)
