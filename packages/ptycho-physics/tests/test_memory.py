import numpy as np
import pytest
from ptycho_config.errors import InvalidValueError
from ptycho_physics import disk_probe, solve
from ptycho_physics.memory import machine_memory, object_memory, require_memory


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
