"""A batch of scans that is killed at any moment loses none and does none twice."""

import batches
import pytest
from judge import RIGHT


def faults_of(samples, seeds, work, backends):
    verdicts = [batches.run(samples, seed, work, backends) for seed in seeds]
    return [f"{v[0]}: {label}: {v[1]}" for label, v in verdicts if v[0] != RIGHT]


def test_a_batch_is_killed_some_times(samples, work):
    assert not faults_of(samples, [0], work, ())


@pytest.mark.slow
def test_batches_are_killed_many_times(samples, work, backends):
    assert not faults_of(samples, range(1, 11), work, backends)
