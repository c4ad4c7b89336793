"""No public object with arrays writes them out: what a notebook user sees first."""

import attrs
import numpy as np
import pytest
from ptycho_core import evaluate, half_scan_frc, refine, solve_scan
from ptycho_core.preparing.preparation import View
from ptycho_core.results import InferenceResult, TrainingResult
from ptycho_core.simulation_parts import SimulationParts
from ptycho_core.testing import simulated_scan
from ptycho_data import StoredObject, StoredProbe
from ptycho_data.display import Displayed
from ptycho_physics import solve


@pytest.fixture(scope="module")
def scan():
    return simulated_scan(60)


@pytest.fixture(scope="module")
def solved(scan):
    return solve_scan(scan, epochs=2, progress=False)


def shown(solved, scan):
    """One object of each class that holds arrays or results."""
    rec = solved.reconstruction
    yield solved
    yield refine(rec, scan, epochs=1)
    yield evaluate(rec, rec)
    yield half_scan_frc(
        rec.positions,
        lambda part: solve_scan(scan.select(part), epochs=1, progress=False).reconstruction,
    )
    yield solve(scan.counts(), scan.positions, scan.probe, epochs=1)
    yield InferenceResult(reconstruction=rec, r_factor=0.1, patterns_per_second=9.0, backend="x")
    yield TrainingResult(bundle_path="m", history={"val_loss": [2.0, 1.0]}, seconds=3.0, epochs=2)
    yield SimulationParts(object=rec.object, probe=rec.probe)
    yield View(mean=np.ones((90, 90)), bad=np.zeros((90, 90), bool), window=None)
    yield StoredObject(values=rec.object)
    yield StoredProbe(modes=rec.probe)
    yield scan
    yield rec


def test_no_repr_writes_out_an_array(solved, scan):
    classes = set()
    for found in shown(solved, scan):
        text = repr(found)
        assert len(text) < 500, text
        assert "\n" not in text, text
        assert "[[" not in text, text
        classes.add(type(found))
    assert len(classes) == 13


def test_results_have_a_picture(solved, scan):
    for found in shown(solved, scan):
        if isinstance(found, Displayed):
            assert "<img" in found._repr_html_(), type(found)
            assert found.plot().axes


def test_every_result_states_its_figures(solved):
    text = repr(solved)
    assert f"R-factor {solved.r_factor:.4f}" in text
    assert "over photon noise" in text
    assert text.endswith("epochs 2>")
    assert repr(attrs.evolve(solved, stopped="plateau")).endswith("epochs 2, ended at a plateau>")


def test_displayed_classes_do_not_have_the_long_repr_of_attrs(solved, scan):
    for found in shown(solved, scan):
        if isinstance(found, Displayed):
            assert attrs.has(type(found))
            assert type(found).__repr__ is Displayed.__repr__
