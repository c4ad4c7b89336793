"""The iterative solver on tensors."""

import json
import math
import os
import signal

import numpy as np
import pytest
import torch
from ptycho_config import InvalidValueError
from ptycho_core.solving.call import SolverInterrupted, solve_scan
from ptycho_core.testing import simulated_scan
from ptycho_torch.devices import solver_arrays

OPTIONS = {"epochs": 8, "update_probe": True, "progress": False, "pictures": False}


@pytest.fixture(scope="module")
def scan():
    return simulated_scan(32)


def test_figures_are_those_of_numpy(scan, tmp_path):
    expected = solve_scan(scan, accelerator="numpy", **OPTIONS)
    result = solve_scan(scan, accelerator="cpu", output=tmp_path / "r", **OPTIONS)
    assert result.r_factors == pytest.approx(expected.r_factors, rel=1e-4)
    assert result.verdict.ratio == pytest.approx(expected.verdict.ratio, rel=1e-4)
    a, b = result.reconstruction.object, expected.reconstruction.object
    assert a.dtype == np.complex64
    assert abs(np.vdot(a, b)) / np.linalg.norm(a) / np.linalg.norm(b) > 1 - 1e-4
    run = json.loads((tmp_path / "r" / "run.json").read_text())
    assert (run["backend"], run["device"]) == ("pytorch", "cpu")


def test_a_run_goes_on_with_the_same_bits_or_with_numpy(scan, tmp_path):
    whole = solve_scan(scan, accelerator="cpu", **OPTIONS)

    def send(epoch, _r_factor):
        if epoch == 3:
            os.kill(os.getpid(), signal.SIGINT)

    for place in ("cpu", "numpy"):
        out = tmp_path / place
        with pytest.raises(SolverInterrupted):
            solve_scan(scan, accelerator="cpu", output=out, callback=send, **OPTIONS)
        result = solve_scan(scan, accelerator=place, output=out, resume=True, **OPTIONS)
        if place == "cpu":
            assert result.r_factors == whole.r_factors
            np.testing.assert_array_equal(result.reconstruction.object, whole.reconstruction.object)
        assert result.r_factors == pytest.approx(whole.r_factors, rel=1e-4)


def test_arrays_that_must_not_be_written_to_are_copied():
    arrays = solver_arrays("cpu")
    values = np.arange(3.0)[::-1]
    values.flags.writeable = False
    assert (arrays.device, arrays.free) == ("cpu", math.inf)
    assert arrays.processes.alone
    assert arrays.put(values).tolist() == [2.0, 1.0, 0.0]


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_device_that_is_missing_is_refused_before_the_work(scan):
    with pytest.raises(InvalidValueError, match="accelerator must be one that this machine has"):
        solve_scan(scan, accelerator="cuda", **OPTIONS)


@pytest.mark.gpu
def test_it_runs_on_a_gpu(scan):
    expected = solve_scan(scan, accelerator="numpy", **OPTIONS)
    result = solve_scan(scan, accelerator="gpu", **OPTIONS)
    assert result.r_factors == pytest.approx(expected.r_factors, rel=1e-4)
