import pytest
from ptycho_core.read_ahead import read_ahead


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_everything_comes_in_order(workers):
    numbers = read_ahead(lambda k: k * k, range(20), workers=workers, per_worker=2)
    assert list(numbers) == [k * k for k in range(20)]


def test_threads_are_ahead_by_no_more_than_allowed():
    taken = []

    def items():
        for k in range(50):
            taken.append(k)
            yield k

    coming = read_ahead(lambda k: k, items(), workers=2, per_worker=3)
    assert next(coming) == 0
    assert len(taken) == 7
    coming.close()


def test_an_error_reaches_the_caller():
    with pytest.raises(ZeroDivisionError):
        list(read_ahead(lambda k: 1 / k, [1, 0], workers=1, per_worker=1))
