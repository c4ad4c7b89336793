"""Reports on runs: what they say, that they need nothing else, and that nothing gets out."""

import json
import logging
from html.parser import HTMLParser

import attrs
import numpy as np
import pytest
from ptycho_config.errors import InvalidValueError
from ptycho_core import evaluate, solve_scan
from ptycho_core.analysis.comparison import canvas_of
from ptycho_core.analysis.half_scans import HalfScanFRC
from ptycho_core.fitted import Fitted
from ptycho_core.outputs import REPORT_FILE
from ptycho_core.preparing.preparation import View
from ptycho_core.preparing.quick_look import QuickLook
from ptycho_core.report.comparing import compare_runs
from ptycho_core.report.drawings import curves
from ptycho_core.report.elements import element, page
from ptycho_core.report.pattern_fits import fit_patterns
from ptycho_core.report.preparing import preparing_report
from ptycho_core.report.reconstruction import reconstruction_report
from ptycho_core.report.training import training_report
from ptycho_core.testing import simulated_scan
from ptycho_data import OutputExistsError, Reconstruction, ResultSetError, load_reconstruction
from ptycho_data.raw import Window
from ptycho_physics.metrics import frc_of_halves

HOSTILE = "<script>alert(1)</script>\"'&\x1b[2J\u202e.npz"


class Read(HTMLParser):
    """Elements, attributes and texts of a page."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.attributes, self.texts, self.inside = [], [], [], []
        self.feed(page if isinstance(page, str) else page.decode())

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        self.inside.append(tag)

    def handle_endtag(self, tag):
        while self.inside and self.inside.pop() != tag:
            pass

    def handle_data(self, data):
        if not {"style", "script"} & set(self.inside):
            self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())

    def sources(self):
        return [value for name, value in self.attributes if name in ("href", "src", "action")]


@pytest.fixture(scope="module")
def scan():
    return simulated_scan(30)


@pytest.fixture(scope="module")
def folders(scan, tmp_path_factory):
    """Results of two runs of one scan, of which the first has pictures."""
    place = tmp_path_factory.mktemp("runs")
    solve_scan(scan, output=place / "a", epochs=2, progress=False, update_probe=True)
    solve_scan(scan, output=place / "b", epochs=1, progress=False, pictures=False)
    return place / "a", place / "b"


def test_a_report_belongs_to_the_results(folders):
    for folder in folders:
        assert REPORT_FILE in (folder / "SHA256SUMS").read_text()
        assert json.loads((folder / "run.json").read_text())["timings_s"]["report"] >= 0


def test_the_verdict_comes_first_and_everything_is_there(scan, folders):
    rec = load_reconstruction(folders[0])
    stage = attrs.evolve(scan, xcoords=scan.xcoords + np.sin(np.arange(scan.n)))
    canvas = canvas_of(rec)
    ring = frc_of_halves(rec.object, canvas, rec.object, canvas, margin=20)
    record, metrics = record_of(folders[0])
    text = reconstruction_report(
        rec, stage, metrics=metrics, record=record, method="solver", pictures=True, output="a",
        curve=HalfScanFRC(ring=ring, patterns=(15, 15)),
    )  # fmt: skip
    found = Read(text)
    verdict = found.text.index(f"R-factor {metrics['r_factor']:.4f}")
    order = ["Object", "Probe", "Patterns", "Over the scan", "Curves", "Settings", "Versions"]
    places = [found.text.index(f" {title} ") for title in order]
    assert [verdict, *places] == sorted([verdict, *places])
    for text in ("Best, measured", "Median, modelled", "Worst, modelled", "Misfit of each pattern",
                 "Refined positions", "Fourier ring correlation of half scans",
                 "update_probe True given", "numpy"):  # fmt: skip
        assert text in found.text, text


def test_standard_errors_are_shown_where_they_are_known(scan, folders):
    rec = load_reconstruction(folders[0])
    record, metrics = record_of(folders[0])
    known = {"phase_median_rad": 0.05, "amplitude_median_relative": 0.02, "calibrated": True}
    given = {"record": record, "method": "solver", "pictures": True, "output": "a", "curve": None}
    title = "Standard error of the phase"
    assert title not in Read(reconstruction_report(rec, scan, metrics=metrics, **given)).text
    errors = np.where(rec.coverage > 0, 0.05, np.nan).astype(np.float32)
    sure = attrs.evolve(rec, amplitude_error=errors, phase_error=errors)
    found = Read(
        reconstruction_report(sure, scan, metrics={**metrics, "uncertainty": known}, **given)
    )
    assert title in found.text
    assert "phase +-0.05 rad" in found.text


def test_patterns_are_compared_with_the_light_and_background_that_were_fitted(scan, folders):
    rec, rng = load_reconstruction(folders[0]), np.random.default_rng(0)
    light, background = rng.uniform(0.6, 1.4, scan.n), np.full((scan.N, scan.N), 3.0)
    counts = scan.counts() * light[:, None, None] + background
    changed = attrs.evolve(scan, diffraction=counts.astype(np.float32))
    clean = fit_patterns(rec, scan).r_factors
    known = fit_patterns(rec, changed, Fitted(light=light, background=background)).r_factors
    assert np.median(known) < 1.1 * np.median(clean)
    assert np.median(fit_patterns(rec, changed).r_factors) > 1.3 * np.median(known)


def test_a_page_needs_nothing_else_and_runs_nothing(folders):
    found = Read((folders[0] / REPORT_FILE).read_bytes())
    assert {"script", "link", "iframe", "form"}.isdisjoint(found.tags)
    assert found.sources()
    assert all(source.startswith("data:image/png;base64,") for source in found.sources())
    assert not [name for name, _ in found.attributes if name.startswith("on")]
    policies = [value for name, value in found.attributes if name == "content"]
    assert "default-src 'none'" in policies[0]
    assert "script-src 'none'" in policies[0]


def test_epochs_are_counted_in_whole_numbers():
    drawn = curves("R", {"R": ([1, 2], [0.2, 0.1])}, ("epoch", "R"))
    texts = [part.text for part in drawn.iter("text") if part.get("text-anchor") == "middle"]
    assert texts == ["1", "2", "epoch", "R"]
    fractions = curves("FRC", {"FRC": ([0.0, 0.5], [1.0, 0.1])}, ("cycles", "correlation"))
    assert "0.2" in [part.text for part in fractions.iter("text")]


def test_without_pictures_there_are_curves_and_tables(folders):
    found = Read((folders[1] / REPORT_FILE).read_bytes())
    assert not found.sources()
    assert "R-factor of each epoch" in found.text


def test_a_failed_report_does_not_lose_the_result(scan, tmp_path, monkeypatch, caplog):
    def fail(*_, **__):
        raise RuntimeError("broken")

    monkeypatch.setattr("ptycho_core.report.reconstruction.page", fail)
    with caplog.at_level(logging.WARNING):
        solve_scan(scan, output=tmp_path / "x", epochs=1, pictures=False, progress=False)
    assert "no report" in caplog.text
    load_reconstruction(tmp_path / "x")


def record_of(folder, **changes):
    """Read record, with changes, and metrics of a result."""
    record = json.loads((folder / "run.json").read_text()) | changes
    return record, json.loads((folder / "metrics.json").read_text())


def test_hostile_text_is_shown_and_does_nothing(scan, folders):
    record, metrics = record_of(
        folders[0],
        cautions=[{"code": HOSTILE, "text": HOSTILE}],
        configuration={HOSTILE: HOSTILE, "nested": {"x": [HOSTILE]}},
        inputs={"scan": {"name": HOSTILE, "sha256": HOSTILE}},
        versions={HOSTILE: HOSTILE},
    )
    rec = load_reconstruction(folders[0])
    text = reconstruction_report(
        rec, scan, metrics=metrics, record=record, method=HOSTILE, curve=None, pictures=True,
        output=HOSTILE,
    )  # fmt: skip
    found = Read(text)
    assert "script" not in found.tags
    assert "<script>alert(1)</script>" in found.text  # as text
    assert b"\x1b" not in text
    assert "\u202e" not in text.decode()


def test_attributes_are_escaped_too():
    found = Read(page("t", element("p", "x", title='"><script>alert(1)</script>')))
    assert "script" not in found.tags
    assert ("title", '"><script>alert(1)</script>') in found.attributes


def test_a_page_of_noise_stays_below_three_megabytes():
    rng = np.random.default_rng(0)
    side, size = 1500, 256

    def noise(*shape):
        return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64)

    scan = attrs.evolve(
        simulated_scan(12),
        diffraction=rng.poisson(9.0, (12, size, size)).astype(np.uint16),
        xcoords=np.linspace(200, 1300, 12),
        ycoords=np.linspace(200, 1300, 12)[::-1],
        probe=noise(9, size, size),
        object_guess=None,
    )
    rec = Reconstruction.of_scan(
        scan,
        object=noise(side, side),
        coverage=np.ones((side, side), np.float32),
        xcoords=scan.xcoords,
        ycoords=scan.ycoords,
        indices=np.arange(12),
        probe=scan.probe,
        origin=np.zeros(2, np.int64),
    )
    metrics = {"r_factor": 0.5, "r_over_noise": 9.0, "r_factors": [0.5] * 10_000}
    text = reconstruction_report(
        rec, scan, metrics=metrics, record={}, method="x", curve=None, pictures=True, output="x"
    )
    assert 1e6 < len(text) < 3e6
    assert "5 weaker modes are not drawn" in Read(text).text


def test_training(scan):
    record = {
        "command": "train",
        "epochs": 3,
        "stopped": "plateau",
        "cautions": [{"code": "x", "text": "probe is a guess"}],
        "inputs": {"train_data_file": {"name": "scan.npz", "sha256": "ab"}},
        "configuration": {"nepochs": 9, "model": {"architecture": "unrolled", "gridsize": 2}},
        "overrides_applied": {
            "nepochs": {"value": 9, "origin": "command line"},
            "gridsize": {"value": 2, "origin": "config file"},
        },
    }
    history = {"train_loss": [3.0, 2.0, 1.0], "val_loss": [3.0, np.nan, 1.5], "lr": [1, 1, 1]}
    found = Read(training_report([scan], history, record=record, kept="epoch 3", output="model"))
    for text in ("Weights kept: epoch 3.", "Early stopping", "probe is a guess", "Mean of 30",
                 "model.gridsize 2 config file",
                 "ptycho train scan.npz -o model --nepochs 9 --gridsize 2"):  # fmt: skip
        assert text in found.text, text


def test_a_prepared_scan(scan):
    """Without a first probe; then with a quick look, and hostile names in the record."""
    window = Window(shape=(90, 100), centre=(45, 50), size=scan.N)
    view = View(mean=np.ones((90, 100)), bad=np.eye(90, 100, dtype=bool), window=window)
    run = {
        "command": "prepare",
        "inputs": {"file 1": {"name": HOSTILE, "sha256": "ab"}},
        "asked": {"patterns": "/data", "size": 64, "first_probe": "auto"},
    }
    texts = {"remarks": ["beam at (45, 50)"], "cautions": [HOSTILE], "run": run}
    made = attrs.evolve(scan, probe_made=True)
    found = Read(preparing_report(made, view, None, **texts, output="scan.npz"))
    assert "No quick reconstruction: no first probe yet" in found.text
    assert "script" not in found.tags
    assert "-o scan.npz --patterns /data --size 64 --first-probe auto" in found.text
    for text in ("Mean frame", "Positions", "beam at (45, 50)", HOSTILE[:8]):
        assert text in found.text, text
    solved = solve_scan(scan, epochs=1, progress=False)
    look = QuickLook(reconstruction=solved.reconstruction, verdict=solved.verdict, patterns=scan.n)
    found = Read(preparing_report(scan, view, look, **texts, output="scan.npz"))
    assert look.describe() in found.text
    plain = Read(preparing_report(scan, None, None, **texts, output="scan.npz"))
    assert not plain.sources()


def test_evaluation(folders, tmp_path):
    rec = load_reconstruction(folders[0])
    evaluate(folders[0], rec).save(tmp_path / "x")
    found = Read((tmp_path / "x" / "evaluation.html").read_bytes())
    assert "Complex correlation 1.0000" in found.text
    assert "Phase, difference" in found.text


def test_runs_side_by_side(folders, tmp_path):
    compare_runs(folders, tmp_path / "compare.html")
    text = (tmp_path / "compare.html").read_text()
    found = Read(text)
    assert found.tags.count("script") == 1
    runs = [value for name, value in found.attributes if name == "data-run"]
    assert runs == ["0", "1", "0", "1"]  # phases, then amplitudes
    drawings = [value for name, value in found.attributes if name == "viewbox"]
    assert len(set(drawings[:4])) == 1  # all show one frame
    assert "epochs 2 1" in found.text
    assert "update_probe True" in found.text
    with pytest.raises(OutputExistsError):
        compare_runs(folders, tmp_path / "compare.html")
    compare_runs(folders[:1], tmp_path / "compare.html", overwrite=True)
    assert "script" not in Read((tmp_path / "compare.html").read_text()).tags


def test_unwrapped_phases_say_so_in_report_and_comparison(scan, folders, tmp_path):
    result = solve_scan(
        scan, output=tmp_path / "a", epochs=1, pictures=True, unwrap=True, progress=False
    )
    assert "phase unwrapped" in Read((tmp_path / "a" / REPORT_FILE).read_text()).text
    assert "phase unwrapped" in result.plot(unwrap=True).get_supxlabel()
    for unwrap in (False, True):
        compare_runs(folders, tmp_path / "x.html", unwrap=unwrap, overwrite=True)
        assert ("phase unwrapped" in Read((tmp_path / "x.html").read_text()).text) == unwrap


def test_a_comparison_refuses(folders, tmp_path):
    with pytest.raises(InvalidValueError):
        compare_runs(folders * 7, tmp_path / "x.html")
    with pytest.raises(InvalidValueError):
        compare_runs([tmp_path / "nothing"], tmp_path / "x.html")
    with pytest.raises(InvalidValueError):  # it would damage the results
        compare_runs(folders, folders[0] / REPORT_FILE, overwrite=True)
    load_reconstruction(folders[0])
    damaged = folders[0].parent / "damaged"
    damaged.mkdir()
    for path in folders[0].iterdir():
        (damaged / path.name).write_bytes(path.read_bytes())
    (damaged / "metrics.json").write_text("{}")
    with pytest.raises(ResultSetError):
        compare_runs([damaged], tmp_path / "x.html")
    assert not (tmp_path / "x.html").exists()
