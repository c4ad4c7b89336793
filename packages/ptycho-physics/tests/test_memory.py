import numpy as np
import pytest
from ptycho_config.errors import InvalidValueError
from ptycho_physics import disk_probe, solve
from ptycho_physics.memory import (
    free_memory,
    machine_memory,
    misplaced,
    object_memory,
    require_memory,
)


def test_an_object_that_does_not_fit_is_refused_before_it_is_made():
    positions = np.array([[0.0, 0.0], [3.0, 0.0], [5e6, 4e6], [0.0, 3.0]])
    with pytest.raises(InvalidValueError, match="number 2") as caught:
        solve(np.ones((4, 16, 16), np.float32), positions, disk_probe(16))
    assert caught.value.name == "positions"
    require_memory(positions[:2] + 4e7, 16)  # far away, but small
    with pytest.raises(InvalidValueError):
        require_memory(positions[:2] + 1e10, 16)


def test_memory():
    assert object_memory(np.array([[0.0, 0.0], [84.0, 184.0]]), 16) == 100 * 200 * 140
    assert machine_memory() > 2**28
    assert 0 < free_memory() <= machine_memory()


@pytest.mark.parametrize("far", [1e5, 20_000, 1e15, -1e300, np.nan, np.inf])
def test_the_position_to_blame_is_named(far, monkeypatch):
    monkeypatch.setattr("ptycho_physics.memory.free_memory", lambda: 2.0**30)
    positions = np.random.default_rng(0).uniform(0, 50, (40, 2))
    positions[29] = far
    found = misplaced(positions, 64)
    assert found.number == 29
    with pytest.raises(InvalidValueError, match="number 29"):
        require_memory(positions, 64)
    assert misplaced(positions[:29], 64) is None


GROUPS = {
    "version 2": ("0::/a/b\n", "{}", "memory.max", "memory.current", "inactive_file"),
    "version 1": (
        "4:cpu,memory:/a/b\n0::/\n",
        "memory/{}",
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
        "total_inactive_file",
    ),
}


@pytest.mark.parametrize("version", sorted(GROUPS))
@pytest.mark.parametrize("group", ["", "a", "a/b"])
def test_the_limit_of_a_container_counts(tmp_path, version, group):
    table, place, limit, use, cached = GROUPS[version]
    proc, cgroup = tmp_path / "proc", tmp_path / "cgroup"
    (proc / "self").mkdir(parents=True)
    (proc / "meminfo").write_text("MemTotal: 9000000 kB\nMemAvailable: 8000000 kB\n")
    (proc / "self" / "cgroup").write_text(table)
    for name in ("", "a", "a/b"):
        folder = cgroup / place.format(name)
        folder.mkdir(parents=True, exist_ok=True)
        limited = name == group
        largest = "max" if version == "version 2" else str(2**63 - 4096)
        (folder / limit).write_text("5000000\n" if limited else largest)
        (folder / use).write_text("2000000\n")
        (folder / "memory.stat").write_text(f"anon 7\n{cached} 500000\n")
    assert free_memory(proc=proc, cgroup=cgroup) == 5_000_000 - 1_500_000
    (cgroup / place.format(group) / limit).write_text("1000000")
    assert free_memory(proc=proc, cgroup=cgroup) == 0
    (cgroup / place.format(group) / limit).unlink()
    assert free_memory(proc=proc, cgroup=cgroup) == 8_000_000 * 1024


def test_a_limited_address_space_counts():
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (2**40, before[1]))
    try:
        assert free_memory() < 2**40
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
