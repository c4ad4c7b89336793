"""Damaged and hostile inputs: the right result or one clear error, soon, and nothing else."""

import mutations
import pytest
from judge import REFUSED, RIGHT


def faults_of(samples, seeds, work, backends):
    outcomes, found = set(), []
    for seed in seeds:
        label, verdict = mutations.run(samples, seed, work, backends)
        outcomes.add(verdict[0])
        if verdict[0] not in (RIGHT, REFUSED):
            found.append(f"{verdict[0]}: {label}: {verdict[1]!r}")
    return outcomes, found


def test_a_few_of_every_kind(samples, work):
    outcomes, found = faults_of(samples, range(90), work, ())
    assert not found, "\n".join(found)
    assert outcomes == {RIGHT, REFUSED}


@pytest.mark.slow
@pytest.mark.parametrize("start", range(1000, 3000, 500))
def test_many_with_every_backend(start, samples, work, backends):
    _, found = faults_of(samples, range(start, start + 500), work, backends)
    assert not found, f"{len(found)}:\n" + "\n".join(found[:40])
