import pytest
import torch
from ptycho_config import Scheduler
from ptycho_config.errors import InvalidValueError
from ptycho_torch.schedules import lightning_schedule


def optimizer():
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)


def rates(name, steps):
    adam = optimizer()
    schedule = lightning_schedule(name, adam, steps=steps, epochs=steps, monitor="val_loss")
    seen = []
    for _ in range(steps):
        seen.append(adam.param_groups[0]["lr"])
        adam.step()
        schedule["scheduler"].step()
    return seen, schedule


def test_warmup_cosine_rises_to_the_full_rate_and_falls_to_nothing():
    seen, schedule = rates(Scheduler.WARMUP_COSINE, 100)
    assert schedule["interval"] == "step"
    assert seen[0] == pytest.approx(0.04)
    assert max(seen) == pytest.approx(1)
    assert seen.index(max(seen)) == 20
    assert seen[-1] < 0.01


def test_exponential_falls_to_a_hundredth():
    seen, _ = rates(Scheduler.EXPONENTIAL, 50)
    assert seen[0] == 1
    assert seen[-1] == pytest.approx(0.01, rel=0.11)


def test_multi_stage_falls_in_three_steps():
    seen, _ = rates(Scheduler.MULTI_STAGE, 100)
    assert (seen[49], seen[50]) == pytest.approx((1, 0.3))
    assert seen[-1] == pytest.approx(0.027)


@pytest.mark.parametrize(
    ("name", "watched"),
    [(Scheduler.REDUCE_LR_ON_PLATEAU, "val_loss"), (Scheduler.ADAPTIVE, "train_loss")],
)
def test_plateau_schedules_halve_when_nothing_improves(name, watched):
    adam = optimizer()
    schedule = lightning_schedule(name, adam, steps=9, epochs=9, monitor="val_loss")
    assert schedule["monitor"] == watched
    for _ in range(6):
        adam.step()
        schedule["scheduler"].step(1.0)
    assert adam.param_groups[0]["lr"] == 0.5


def test_default_must_have_been_resolved():
    with pytest.raises(InvalidValueError) as refused:
        lightning_schedule(Scheduler.DEFAULT, optimizer(), steps=1, epochs=1, monitor="x")
    assert refused.value.name == "scheduler"
