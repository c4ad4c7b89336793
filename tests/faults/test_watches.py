"""A watch that is killed at any moment loses no scan and does none twice."""

import pytest
import watches
from judge import RIGHT


def faults_of(samples, seeds, work):
    verdicts = [watches.run(samples, seed, work) for seed in seeds]
    return [f"{v[0]}: {label}: {v[1]}" for label, v in verdicts if v[0] != RIGHT]


def test_a_watch_is_killed_some_times(samples, work):
    assert not faults_of(samples, [0], work)


@pytest.mark.slow
def test_watches_are_killed_many_times(samples, work):
    assert not faults_of(samples, range(1, 11), work)
