import json
import logging
import shutil

import h5py
import numpy as np
import pytest
from attrs import evolve
from ptycho_config import InvalidValueError
from ptycho_core.analysis.verdict import describe_fit
from ptycho_core.batch.finished import OtherResultError, made_as_asked
from ptycho_core.outputs import RECONSTRUCTION_FILES
from ptycho_core.solving.call import SolverRun, solve_scan
from ptycho_core.testing import simulated_scan
from ptycho_core.testing.live_page import RecordingPage
from ptycho_data import NoSpaceError, OutputExistsError, load_reconstruction, load_scan, save_scan


@pytest.fixture(scope="module")
def scan():
    return simulated_scan(24)


def test_a_file_gives_the_same_result_as_its_scan(scan, tmp_path):
    save_scan(tmp_path / "scan.npz", scan)
    epochs = []
    result = solve_scan(scan, epochs=3, callback=lambda epoch, _: epochs.append(epoch))
    assert epochs == [1, 2, 3]
    assert (result.stopped, result.positions_moved_rms) == ("epochs", 0)
    # that of the result, which is better than the last epoch was before its updates
    assert result.metrics["r_factor"] == result.r_factor < result.r_factors[-1]
    assert result.r_factors[-1] < result.r_factors[0]
    again = solve_scan(tmp_path / "scan.npz", epochs=3)
    np.testing.assert_array_equal(again.reconstruction.object, result.reconstruction.object)


def test_there_is_an_epoch_at_least(scan):
    for number in (0, "3", 2.5):
        with pytest.raises(InvalidValueError, match="epochs must be a whole number >= 1, got"):
            solve_scan(scan, epochs=number)


def test_the_file_of_the_first_probe_is_an_input(scan, tmp_path):
    out = tmp_path / "r"
    solve_scan(scan, output=out, epochs=1, pictures=False, progress=False)
    for text in (f"{out / 'reconstruction.npz'}", f"file:{out / 'reconstruction.npz'}::probe"):
        with pytest.raises(InvalidValueError, match="inputs are never replaced"):
            solve_scan(scan, output=out, first_probe=text, epochs=1, overwrite=True)
    more = {"epochs": 1, "pictures": False, "progress": False}
    solve_scan(scan, output=tmp_path / "s", first_probe=f"{out / 'reconstruction.npz'}", **more)
    run = json.loads((tmp_path / "s" / "run.json").read_text())
    assert run["inputs"]["first_probe"]["name"] == "reconstruction.npz"


def test_a_result_of_another_companion_is_not_done(scan, tmp_path):
    file, others = tmp_path / "scan.npz", [tmp_path / "a.npz", tmp_path / "b.npz"]
    save_scan(file, scan)
    for other, part in zip(others, (scan, scan.select([0, 1])), strict=True):
        save_scan(other, part)
    first, second = (
        SolverRun(scan=file, reading={"companion": other}, settings={"epochs": 1}).request()
        for other in others
    )
    record = {**first.record(), "stopped": "epochs"}
    assert made_as_asked(tmp_path, record, first)
    with pytest.raises(OtherResultError, match="another companion"):
        made_as_asked(tmp_path, record, second)


def test_refined_positions_are_in_the_reconstruction(scan):
    result = solve_scan(scan, epochs=7, refine_positions=True)
    rec = result.reconstruction
    moved = rec.positions + rec.origin - scan.positions
    assert result.positions_moved_rms == pytest.approx(np.sqrt(np.mean(moved**2)))
    assert result.positions_moved_rms > 0


def test_output_holds_what_the_command_writes(scan, tmp_path):
    options = {"epochs": 2, "half_scan_frc": True, "progress": False}
    result = solve_scan(scan, output=tmp_path / "r", **options)
    assert result.path == tmp_path / "r"
    names = {path.name for path in result.path.iterdir()}
    assert names == {*RECONSTRUCTION_FILES, "half_scan_frc.png"}
    stored = load_reconstruction(result.path / "reconstruction.npz")
    np.testing.assert_array_equal(stored.object, result.reconstruction.object)
    metrics = json.loads((result.path / "metrics.json").read_text())
    assert metrics["r_over_noise"] == pytest.approx(result.verdict.ratio)
    assert metrics["half_scan_frc"]["patterns"] == [12, 12]
    run = json.loads((result.path / "run.json").read_text())
    assert run["configuration"]["epochs"] == 2
    assert run["r_over_noise"] == metrics["r_over_noise"]
    with pytest.raises(OutputExistsError):
        solve_scan(scan, output=tmp_path / "r", **options)


def test_a_result_without_room_is_refused_before_the_solver_starts(scan, tmp_path, monkeypatch):
    free = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: free)
    with pytest.raises(NoSpaceError):
        solve_scan(scan, output=tmp_path / "r", callback=lambda *_: pytest.fail("started"))
    assert not list(tmp_path.iterdir())


def test_files_of_a_scan_in_memory_are_not_replaced(scan, tmp_path):
    save_scan(tmp_path / "reconstruction.npz", scan)
    before = (tmp_path / "reconstruction.npz").read_bytes()
    with pytest.raises(InvalidValueError) as caught:
        solve_scan(load_scan(tmp_path / "reconstruction.npz"), output=tmp_path, overwrite=True)
    assert caught.value.rule == "another file than the inputs"
    assert (tmp_path / "reconstruction.npz").read_bytes() == before


def test_nothing_is_written_unless_output_is_given(scan, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert solve_scan(scan, epochs=1, half_scan_frc=True, progress=False).path is None
    assert not list(tmp_path.iterdir())


def test_a_doubt_is_logged_once_and_returned(scan, caplog):
    faint = evolve(
        scan, diffraction=np.minimum(scan.diffraction, 1).astype(np.uint16), known_totals=None
    )
    result = solve_scan(faint, epochs=1, half_scan_frc=True)
    codes = [caution.code for caution in result.cautions]
    assert "few-photons" in codes
    warnings = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    for caution in result.cautions:
        assert sum(caution.text in text for text in warnings) == 1


def test_the_twin_is_told_where_the_probe_is_refined(scan, caplog):
    caplog.set_level(logging.INFO)
    for flags, told in (({}, 0), ({"update_probe": True}, 1)):
        caplog.clear()
        solve_scan(scan, epochs=1, **flags)
        assert sum("twin" in record.getMessage() for record in caplog.records) == told


def test_experiment_place_and_run_go_along(scan, tmp_path):
    known = {
        "origin_m": (3.1234e-3, -1.7e-3),
        "photon_energy_ev": 9e3,
        "detector_distance_m": 2.0,
        "detector_pixel_size_m": 75e-6,
    }
    save_scan(tmp_path / "sample.npz", evolve(scan, **known))
    solve_scan(tmp_path / "sample.npz", output=tmp_path / "r", epochs=2, progress=False)
    rec = load_reconstruction(tmp_path / "r" / "reconstruction.npz")
    assert {name: getattr(rec, name) for name in known} == known
    assert rec.nphotons == pytest.approx(scan.mean_photons())
    record = json.loads((tmp_path / "r" / "run.json").read_text())
    assert (rec.name, rec.run["command"]) == ("sample", "reconstruct")
    assert rec.run["configuration"]["epochs"] == 2
    assert rec.run["inputs"]["scan"]["sha256"] == record["inputs"]["scan"]["sha256"]
    with h5py.File(tmp_path / "r" / "product.h5") as file:
        assert json.loads(file.attrs["run"]) == rec.run
        assert file.attrs["photon_energy_eV"] == 9e3
        assert file.attrs["probe_photon_count"] == pytest.approx(scan.mean_photons())
        x_m = file["probe_position_x_m"][()]
    pixel = evolve(scan, **known).pixel_size_m
    np.testing.assert_allclose(x_m, 3.1234e-3 + scan.xcoords * pixel, rtol=0, atol=1e-15)


@pytest.fixture(scope="module")
def lit_unevenly(scan):
    """A scan with a beam that flickers, and a background."""
    light = np.random.default_rng(0).uniform(0.6, 1.4, scan.n)
    light /= light.mean()
    counts = np.random.default_rng(1).poisson(light[:, None, None] * scan.counts() + 3)
    return evolve(scan, diffraction=counts.astype(np.float32), domain="counts"), light


def test_light_background_and_held_out_patterns_are_among_the_results(lit_unevenly, tmp_path):
    scan, light = lit_unevenly
    options = {"refine_light": True, "background": "constant", "held_out": 0.1}
    result = solve_scan(scan, output=tmp_path / "r", epochs=6, pictures=False, **options)
    stored = np.load(tmp_path / "r" / "fitted.npz")
    assert set(stored) == {"light", "background", "held_out"}
    np.testing.assert_array_equal(stored["light"], result.fitted.light)
    np.testing.assert_allclose(stored["light"], light, atol=0.15)
    metrics = json.loads((tmp_path / "r" / "metrics.json").read_text())
    assert metrics["held_out"]["patterns"] == len(stored["held_out"]) == 2
    assert metrics["light_rms"] == pytest.approx(light.std(), rel=0.1)
    assert metrics["background_mean"] == pytest.approx(3, rel=0.7)
    assert metrics["r_factor"] == result.r_factor == result.verdict.r_factor
    plain = solve_scan(scan, output=tmp_path / "r", epochs=6, pictures=False, overwrite=True)
    assert result.verdict.ratio < 0.85 * plain.verdict.ratio
    assert not (tmp_path / "r" / "fitted.npz").exists()


def test_half_scans_take_the_epochs_that_were_best(lit_unevenly):
    scan, _ = lit_unevenly
    epochs = []
    result = solve_scan(
        scan,
        epochs=7,
        held_out=0.1,
        half_scan_frc=True,
        callback=lambda epoch, _: epochs.append(epoch),
    )
    best = result.fitted.held_out.best
    assert epochs[len(result.r_factors) :] == [*range(1, best + 1)] * 2


def test_a_live_page_shows_the_run_and_changes_nothing(scan, tmp_path):
    page = RecordingPage()
    settings = {"epochs": 3, "update_probe": True, "refine_positions": True}
    plain = SolverRun(scan=scan, settings=settings).run()
    run = SolverRun(scan=scan, settings=settings, output=tmp_path / "out", pictures=False)
    shown = run.on(page).run()
    np.testing.assert_array_equal(shown.reconstruction.object, plain.reconstruction.object)
    np.testing.assert_array_equal(shown.reconstruction.probe, plain.reconstruction.probe)
    assert shown.r_factors == plain.r_factors
    (begun,) = page.of("begin")
    assert (begun["command"], begun["patterns"]) == ("reconstruct", 24)
    curve = [point["r_factor"] for point in page.of("point") if "r_factor" in point]
    assert curve == plain.r_factors
    judged = [point["r_over_noise"] for point in page.of("point") if "r_over_noise" in point]
    assert len(judged) == 3
    assert judged[-1] == pytest.approx(plain.verdict.ratio)
    done = [progress[0] for progress in page.of("progress")]
    assert done == sorted(done)
    assert done[-1] <= 3
    assert page.of("stage")[:4] == ["read", "check", "solve", "evaluate"]
    assert page.of("end")[0] == ("finished", describe_fit(shown.metrics), tmp_path / "out")
    last = page.snapshots[-1]
    np.testing.assert_array_equal(last.reconstruction.object, shown.reconstruction.object)
    assert len({snapshot.pattern for snapshot in page.snapshots}) > 3
    misfit = np.abs(np.sqrt(last.measured) - np.sqrt(last.modelled)).sum()
    assert misfit / np.sqrt(last.measured).sum() < 2 * shown.r_factor


def test_a_run_that_fails_is_shown_as_failed(scan):
    page = RecordingPage()
    dark = evolve(scan, diffraction=np.zeros_like(scan.diffraction))
    with pytest.raises(InvalidValueError) as caught:
        SolverRun(scan=dark, settings={"epochs": 1}).on(page).run()
    assert page.of("end")[0][:2] == ("failed", str(caught.value))
