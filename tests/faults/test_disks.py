"""Full and read-only disks, full temporary folders, folders that go: as nothing had happened."""

import disks
import pytest
from judge import REFUSED, RIGHT


@pytest.fixture(scope="module", autouse=True)
def _mounts():
    if not disks.mountable():
        pytest.skip("only root can mount a small disk")


def faults_of(samples, seeds, work, backends):
    verdicts = [disks.run(samples, seed, work, backends) for seed in seeds]
    return [f"{v[0]}: {label}: {v[1]}" for label, v in verdicts if v[0] not in (RIGHT, REFUSED)]


def test_every_kind_of_failing_disk(samples, work):
    assert not faults_of(samples, range(12, 19), work, ())


def test_a_disk_that_fills_while_hdf5_is_closed(samples, work):
    """HDF5 keeps what it could not write, and tries again as each of its objects is closed."""
    for seed in (315, 318, 323):
        label, verdict = disks.run(samples, seed, work, ())
        assert "convert" in label
        assert verdict[0] == REFUSED, verdict


@pytest.mark.slow
def test_many_with_every_backend(samples, work, backends):
    assert not faults_of(samples, range(100, 140), work, backends)
