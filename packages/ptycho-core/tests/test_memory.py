"""Estimates of memory, beside what commands take."""

import subprocess
import sys

import numpy as np
import pytest
from ptycho_config import ModelConfig, TrainingConfig
from ptycho_config.errors import InvalidValueError
from ptycho_core import memory
from ptycho_core.simulation_parts import SimulationParts
from ptycho_core.solving.call import SolverRun
from ptycho_core.testing import simulated_scan

SCAN = simulated_scan()
PROGRAM = """
from ptycho_core.simulation import simulate_scan
from ptycho_core.simulation_parts import SimulationParts
from ptycho_core.solving.call import solve_scan
import sys
n, N, size = map(int, sys.argv[2:])
parts = SimulationParts().completed(N=N, n_patterns=n, object_size=size)
scan = simulate_scan(parts, 1e4, 0)
if sys.argv[1] == "solve":
    solve_scan(scan, epochs=1, progress=False)
# The parent would be told its own peak: it is the child until the program starts.
with open("/proc/self/status") as status:
    print(next(line.split()[1] for line in status if line.startswith("VmHWM:")))
"""


def peak(*arguments):
    """Return the peak memory, in bytes, of a program in a process of its own."""
    command = [sys.executable, "-c", PROGRAM, *map(str, arguments)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - our own program
    return int(done.stdout.splitlines()[-1]) * 1024


@pytest.mark.skipif(sys.platform != "linux", reason="peaks are found elsewhere in other ways")
@pytest.mark.parametrize(("n", "N", "size"), [(200, 64, 400), (3000, 64, 700)])
def test_a_simulation_takes_what_is_estimated(n, N, size):
    estimate = memory.of_simulation(n, N, (size, size)).total
    assert estimate / 1.5 < peak("simulate", n, N, size) < 1.5 * estimate


@pytest.mark.parametrize("more", [{"epochs": 1}, {"epochs": 1, "batch_size": 64, "modes": 3}])
def test_the_solver_is_refused_what_does_not_fit(monkeypatch, more):
    run = SolverRun(scan=SCAN, settings=more)
    lines = run.plan()
    assert "48 patterns of 64 pixels" in lines[0]
    assert "counts" in lines[1]
    monkeypatch.setattr("ptycho_core.memory.free_memory", lambda: 50e6)
    assert "more than is free" in run.plan()[1]
    with pytest.raises(InvalidValueError, match=r"scan must be small enough.*47\.7 MiB are free"):
        run.run()


def test_estimates_grow_with_what_they_depend_on():
    def training(**model):
        config = TrainingConfig(model=ModelConfig(**model), batch_size=8)
        return memory.of_training([SCAN], config).total

    assert training(N=64) < training(N=128) < training(N=256)
    assert training(N=64, n_filters_scale=1) < training(N=64, n_filters_scale=4)
    assert training(architecture="unrolled") < training(architecture="cnn")
    assert training(gridsize=1) < training(gridsize=2)
    one, two = memory.of_solver(SCAN), memory.of_solver(SCAN, modes=4)
    assert one.parts["counts"] == two.parts["counts"] == 4 * 48 * 64**2
    assert two.parts["batch"] == 4 * one.parts["batch"]
    assert one.total == sum(one.parts.values())
    assert memory.of_solver(SCAN, momentum=True).parts["object"] == 1.4 * one.parts["object"]


@pytest.mark.parametrize(
    ("given", "arguments", "n", "N", "shape"),
    [
        ({}, {}, 423, 64, (192, 192)),
        ({}, {"n_patterns": 7, "N": 32, "object_size": 500}, 7, 32, (500, 500)),
        ({"object": np.ones((90, 80), np.complex64)}, {"step": 10.0}, 6, 64, (90, 80)),
        ({"positions": np.zeros((11, 2))}, {"object_size": 99}, 11, 64, (99, 99)),
    ],
)
def test_a_simulation_is_estimated_before_its_parts_are_made(given, arguments, n, N, shape):
    found = SimulationParts(**given).memory(**arguments)
    expected = memory.of_simulation(n, N, shape)
    assert found.total == pytest.approx(expected.total, rel=0.02)
