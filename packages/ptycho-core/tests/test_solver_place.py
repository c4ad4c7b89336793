import logging
import math

import numpy as np
import pytest
from attrs import frozen
from ptycho_config.errors import InvalidValueError, MissingPackageError
from ptycho_core.memory import of_solver
from ptycho_core.solving import place as module
from ptycho_core.solving.arrays import SolverArrays
from ptycho_core.solving.call import solve_scan
from ptycho_core.solving.devices import Devices
from ptycho_core.solving.place import solver_place
from ptycho_core.testing import FakeBackend, registered, simulated_scan
from ptycho_physics import Processes

MUCH, LITTLE = 1e12, 1e3
NEEDED = {"counts": 4e5, "batch": 2e5, "object": 3e5}


@frozen(kw_only=True)
class Device(FakeBackend):
    """A backend with a GPU of some memory, whose arrays are those of NumPy."""

    free: float = math.inf
    solver_arrays: bool = True

    def arrays(self, accelerator, devices=1, num_nodes=1):
        return SolverArrays(
            device={"gpu": "cuda"}.get(accelerator, accelerator),
            free=self.free,
            put=np.copy,
            processes=Processes(0, devices * num_nodes),
        )


def place_of(accelerator="auto", work=LITTLE, **more):
    return solver_place(Devices(accelerator=accelerator, **more), work, NEEDED)


@pytest.fixture
def gpu(monkeypatch):
    monkeypatch.setattr(module, "_has_gpu", lambda: True)
    with registered(Device(name="pytorch", free=1e6)) as backend:
        yield backend


@pytest.mark.usefixtures("gpu")
def test_auto_takes_a_gpu_for_much_work():
    assert place_of(work=MUCH).name == "PyTorch on cuda"
    assert place_of(work=LITTLE).name == "NumPy"


@pytest.mark.usefixtures("gpu")
def test_what_is_asked_for_is_taken_or_refused():
    assert place_of("numpy", MUCH).backend == "numpy"
    place = place_of("cuda")
    assert (place.backend, place.device, place.at_once) == ("pytorch", "cuda", None)
    with pytest.raises(InvalidValueError, match="accelerator must be one of auto, numpy"):
        place_of("tpu")


def test_what_does_not_fit_stays_in_main_memory_or_is_done_in_pieces(monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(module, "_has_gpu", lambda: True)
    counts = np.zeros((2, 4, 4), np.float32)

    def place(free, accelerator="gpu", **more):
        with registered(Device(name="pytorch", free=free)):
            return place_of(accelerator, MUCH, **more)

    assert place(9e5).put_counts(counts) is not counts
    assert place(8.9e5).put_counts(counts) is counts
    assert "patterns stay in main memory" in caplog.text
    assert place(7e5, devices=2).put_counts(counts) is not counts  # each has half of them
    assert place(4e5).at_once == 8
    assert place(3.2e5).at_once == 1
    assert "in pieces of 8 patterns" in caplog.text
    with pytest.raises(InvalidValueError, match=r"memory of the GPU.*--accelerator numpy"):
        place(3e5)
    assert place(3e5, "auto").name == "NumPy"


@pytest.mark.parametrize(("counts", "batch"), [(1.01, 1.01), (0, 1.01), (0, 0.4)])
def test_results_do_not_depend_on_the_memory(counts, batch):
    """All on the device, patterns in main memory, and batches in pieces."""
    scan, options = simulated_scan(32), {"epochs": 4, "update_probe": True, "progress": False}
    expected = solve_scan(scan, **options)
    needed = of_solver(scan).parts
    free = counts * needed["counts"] + batch * needed["batch"] + needed["object"]
    with registered(Device(name="pytorch", free=free)):
        result = solve_scan(scan, accelerator="gpu", **options)
    assert result.r_factors == pytest.approx(expected.r_factors, rel=1e-5)
    found, wanted = result.reconstruction.object, expected.reconstruction.object
    np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_a_gpu_that_pytorch_cannot_use_is_left_alone(monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(module, "_has_gpu", lambda: True)
    with registered(FakeBackend(name="pytorch")):  # refuses, as PyTorch built for a CPU does
        assert place_of(work=MUCH).name == "NumPy"
        with pytest.raises(InvalidValueError):
            place_of("gpu", MUCH)
    assert "cannot use it" in caplog.text


def test_without_a_gpu_auto_is_numpy(monkeypatch):
    monkeypatch.setattr(module, "_has_gpu", lambda: False)
    with registered(Device(name="pytorch")):
        assert place_of(work=MUCH).name == "NumPy"


def test_several_devices_are_those_of_pytorch():
    with registered(Device(name="pytorch")):
        assert place_of("cpu", devices=3).name == "PyTorch on cpu, 3 devices"
        assert place_of("auto", devices=2, num_nodes=2).processes.number == 4
    with pytest.raises(InvalidValueError, match="devices must be 1 with accelerator numpy"):
        Devices(accelerator="numpy", devices=2).check()
    with pytest.raises(InvalidValueError, match="num_nodes"):
        Devices(num_nodes=0).check()


def test_what_is_not_installed_is_told_before_the_work():
    with registered(Device(name="pytorch", framework="no_such_framework")):
        assert place_of(work=MUCH).name == "NumPy"
        for asked in (Devices(accelerator="cpu"), Devices(devices=2)):
            with pytest.raises(MissingPackageError, match="pip install"):
                asked.check()


def test_arrays_of_other_backends_are_refused():
    with registered(FakeBackend(name="pytorch")), pytest.raises(InvalidValueError, match="numpy"):
        place_of("cpu")
