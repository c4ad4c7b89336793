import logging
import math

import numpy as np
import pytest
from attrs import frozen
from ptycho_config.errors import InvalidValueError, MissingPackageError
from ptycho_core.solving import place as module
from ptycho_core.solving.place import check_accelerator, solver_place
from ptycho_core.testing import FakeBackend, registered

MUCH, LITTLE = 1e12, 1e3


@frozen(kw_only=True)
class Device(FakeBackend):
    """A backend with a GPU of some memory."""

    free: float = math.inf
    solver_arrays: bool = True

    def arrays(self, accelerator):
        return {"gpu": "cuda"}.get(accelerator, accelerator), self.free, np.copy


@pytest.fixture
def gpu(monkeypatch):
    monkeypatch.setattr(module, "_has_gpu", lambda: True)
    with registered(Device(name="pytorch", free=1e6)) as backend:
        yield backend


@pytest.mark.usefixtures("gpu")
def test_auto_takes_a_gpu_for_much_work_that_fits(caplog):
    caplog.set_level(logging.INFO)
    assert solver_place("auto", MUCH, LITTLE).name == "PyTorch on cuda"
    assert solver_place("auto", LITTLE, LITTLE).name == "NumPy"
    assert solver_place("auto", MUCH, 1e7).name == "NumPy"
    assert "too much for the memory" in caplog.text


@pytest.mark.usefixtures("gpu")
def test_what_is_asked_for_is_taken_or_refused():
    assert solver_place("numpy", MUCH, LITTLE).backend == "numpy"
    place = solver_place("cuda", LITTLE, LITTLE)
    assert (place.backend, place.device) == ("pytorch", "cuda")
    with pytest.raises(InvalidValueError, match=r"memory of the GPU.*--accelerator numpy"):
        solver_place("gpu", LITTLE, 1e7)
    with pytest.raises(InvalidValueError, match="accelerator must be one of auto, numpy"):
        solver_place("tpu", LITTLE, LITTLE)


def test_a_gpu_that_pytorch_cannot_use_is_left_alone(monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(module, "_has_gpu", lambda: True)
    with registered(FakeBackend(name="pytorch")):  # refuses, as PyTorch built for a CPU does
        assert solver_place("auto", MUCH, LITTLE).name == "NumPy"
        with pytest.raises(InvalidValueError):
            solver_place("gpu", MUCH, LITTLE)
    assert "cannot use it" in caplog.text


def test_without_a_gpu_auto_is_numpy(monkeypatch):
    monkeypatch.setattr(module, "_has_gpu", lambda: False)
    with registered(Device(name="pytorch")):
        assert solver_place("auto", MUCH, LITTLE).name == "NumPy"


def test_what_is_not_installed_is_told_before_the_work():
    with registered(Device(name="pytorch", framework="no_such_framework")):
        assert solver_place("auto", MUCH, LITTLE).name == "NumPy"
        with pytest.raises(MissingPackageError, match="pip install"):
            check_accelerator("cpu")


def test_arrays_of_other_backends_are_refused():
    with registered(FakeBackend(name="pytorch")), pytest.raises(InvalidValueError, match="numpy"):
        solver_place("cpu", LITTLE, LITTLE)
