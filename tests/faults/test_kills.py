"""Commands that are killed: a reader sees the old or the new, and the work can be ended."""

import kills
import pytest
import scenes
from judge import REFUSED, RIGHT


def faults_of(samples, seeds, work, backends):
    verdicts = [kills.run(samples, seed, work, backends) for seed in seeds]
    return [f"{v[0]}: {label}: {v[1]}" for label, v in verdicts if v[0] not in (RIGHT, REFUSED)]


def test_every_command_without_a_network_once(samples, work):
    number = len(scenes.scenes(samples, ()))
    assert not faults_of(samples, range(number), work, ())


@pytest.mark.slow
@pytest.mark.parametrize("start", [100, 125, 150, 175])
def test_many_with_every_backend(start, samples, work, backends):
    assert not faults_of(samples, range(start, start + 25), work, backends)
