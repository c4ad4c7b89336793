import pytest
from ptycho_config import Scheduler
from ptycho_config.errors import InvalidValueError
from ptycho_tf.schedules import Schedule


def schedule(name, epochs=10):
    return Schedule(name, 1.0, steps_per_epoch=10, epochs=epochs, monitor="val_loss")


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
    assert other.plateau == made.plateau
    assert other.rate(7, 0) == 0.5


def test_default_is_for_the_caller_to_resolve():
    with pytest.raises(InvalidValueError) as refused:
        schedule(Scheduler.DEFAULT)
    assert refused.value.name == "scheduler"
