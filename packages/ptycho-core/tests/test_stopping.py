"""Early stopping."""

from ptycho_core.stopping import Patience


def after(losses, limit=3, mode="min", rate=1e-3, state=None):
    patience = Patience(limit, mode, rate)
    if state is not None:
        patience.restore(state)
    return patience, [patience.after(loss) for loss in losses]


def test_it_ends_so_many_epochs_after_the_best():
    assert after([3.0, 2.0, 2.0, 2.5, 2.0])[1] == [False, False, False, False, True]
    assert after([1.0, 2.0, 1.0, 3.0], limit=1, mode="max")[1] == [False, False, True, False]


def test_the_count_goes_on_after_a_resume():
    half, _ = after([1.0, 2.0, 2.0])
    assert after([2.0], state=half.state())[1] == [True]
    assert after([2.0], state=half.state(), limit=4)[1] == [False]
    assert after([2.0], state=half.state(), rate=5e-4)[1] == [False]
    assert after([0.5], state=half.state())[0].best == 0.5


def test_the_reason_of_an_end():
    tired, _ = after([1.0, 2.0, 2.0, 2.0])
    fresh, _ = after([1.0])
    assert tired.reason(4, 10, interrupted=False) == "plateau"
    assert tired.reason(4, 4, interrupted=False) == "epochs"
    assert fresh.reason(1, 1, interrupted=False) == "epochs"
    assert tired.reason(4, 10, interrupted=True) == "interrupted"
