"""The two calls, with a backend that needs no framework."""

import contextlib
import hashlib
import json
import logging
import os
import signal

import numpy as np
import pytest
from attrs import evolve
from ptycho_config import ConfigError, InvalidValueError, to_dict
from ptycho_core import fine_tuning, reconstruct, solve_scan, train
from ptycho_core.outputs import TRAINING_FILES
from ptycho_core.refinement import initial_object
from ptycho_core.results import InferenceInterrupted, TrainingInterrupted
from ptycho_core.starting_probe import refine_probe, similarity
from ptycho_core.testing import FakeBackend, registered, simulated_scan
from ptycho_data import (
    BundleError,
    OutputExistsError,
    jsonable,
    load_bundle,
    load_probe,
    load_reconstruction,
    save_scan,
)


@pytest.fixture(scope="module")
def scan():
    return simulated_scan()


@pytest.fixture
def scan_file(scan, tmp_path):
    save_scan(tmp_path / "scan.npz", scan)
    return tmp_path / "scan.npz"


@pytest.fixture
def fake():
    with registered(FakeBackend(name="pytorch")) as backend:
        yield backend


def origins(applied):
    return {name: entry["origin"] for name, entry in applied.items()}


def test_nothing_is_written_unless_output_is_given(fake, scan, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = train(scan, nepochs=2, gridsize=2)
    result = reconstruct(model, scan)
    assert not list(tmp_path.iterdir())
    assert (model.path, result.path) == (None, None)
    assert not fake.trainings[-1]["output"].exists()
    assert result.object.shape == result.coverage.shape == result.reconstruction.object.shape
    assert result.metrics["correlation"] > 0.9
    assert result.probe.shape == scan.probe.shape


def test_settings_of_every_kind_by_keyword(fake, scan):
    model = train(scan, nepochs=3, architecture="cnn", accelerator="cpu")
    call = fake.trainings[-1]
    assert (call["config"].nepochs, call["config"].model.architecture) == (3, "cnn")
    assert (model.execution.accelerator, model.execution.learning_rate) == ("cpu", 1e-3)
    assert origins(model.overrides_applied) == {
        "nepochs": "override",
        "architecture": "override",
        "accelerator": "override",
        "N": "data",
        "learning_rate": "network",
    }
    assert model.bundle.overrides_applied == model.overrides_applied
    reconstruct(model, scan, n_groups=5, inference_batch_size=8)
    call = fake.reconstructions[-1]
    assert (call["config"].n_groups, call["execution"].inference_batch_size) == (5, 8)
    assert call["config"].model.architecture == "cnn"  # of the bundle


def test_files_and_objects_give_the_same(fake, scan, scan_file, tmp_path):
    np.savez(tmp_path / "probe.npz", probe=2j * scan.probe)
    of_files = train(str(scan_file), test_scan=scan_file, probe=tmp_path / "probe.npz")
    read = fake.trainings[-1]
    in_memory = train(scan, test_scan=scan, probe=2j * scan.probe[0])
    given = fake.trainings[-1]
    np.testing.assert_array_equal(read["probe"], given["probe"])
    assert read["test_scan"].n == given["test_scan"].n == scan.n
    assert of_files.bundle.config == in_memory.bundle.config
    assert of_files.bundle.scaling["probe_given"]
    assert train(scan).bundle.scaling["probe_given"] is False
    reconstruct(of_files, scan_file, probe=tmp_path / "probe.npz")
    np.testing.assert_array_equal(fake.reconstructions[-1]["probe"], 2j * scan.probe)


def test_several_scans(fake, scan, scan_file):
    train([scan, scan_file])
    assert len(fake.trainings[-1]["scans"]) == 2
    with pytest.raises(InvalidValueError) as refused:
        train([])
    assert refused.value.name == "scans"


def test_a_file_of_several_scans(fake, scan, tmp_path):
    both = evolve(scan, scan_index=np.repeat([2, 5], [20, 28]))
    save_scan(tmp_path / "both.npz", both)
    for given in (both, tmp_path / "both.npz"):
        model = train(given)
        parts = fake.trainings[-1]["scans"]
        assert [part.scan_numbers for part in parts] == [[2], [5]]
        np.testing.assert_array_equal(parts[1].positions, scan.positions[20:])
        for call in (reconstruct, lambda _, scan, **more: solve_scan(scan, epochs=1, **more)):
            with pytest.raises(InvalidValueError):
                call(model, given)
            result = call(model, given, scan_index=5)
            assert len(result.reconstruction.indices) == 28
    with pytest.raises(InvalidValueError):
        train(scan, test_scan=both)


def test_output_holds_what_the_command_writes(fake, scan_file, tmp_path):
    model = train(scan_file, output=tmp_path / "m", nepochs=2)
    names = {path.name for path in (tmp_path / "m").iterdir()}
    assert names == set(TRAINING_FILES)
    assert load_bundle(model.path).config == model.bundle.config
    run = json.loads((tmp_path / "m" / "run.json").read_text())
    assert run["inputs"]["train_data_file"]["name"] == "scan.npz"
    assert run["configuration"]["output_dir"] == "m"  # no folder of the user
    assert run["configuration"]["execution"]["learning_rate"] == 2e-3
    result = reconstruct(tmp_path / "m", scan_file, output=tmp_path / "r", half_scan_frc=True)
    assert result.path == tmp_path / "r"
    stored = load_reconstruction(tmp_path / "r" / "reconstruction.npz")
    np.testing.assert_array_equal(stored.object, result.object)
    assert json.loads((tmp_path / "r" / "metrics.json").read_text()).keys() == result.metrics.keys()
    assert (tmp_path / "r" / "half_scan_frc.png").is_file()
    for call in (
        lambda: train(scan_file, output=tmp_path / "m"),
        lambda: reconstruct(model, scan_file, output=tmp_path / "r"),
    ):
        with pytest.raises(OutputExistsError):
            call()
    assert train(scan_file, output=tmp_path / "m", resume=True).path == model.path
    assert fake.trainings[-1]["resume"] is True


def test_a_configuration_file_is_below_the_keywords(fake, scan, tmp_path):
    (tmp_path / "c.toml").write_text("nepochs = 7\nbatch_size = 4\n[model]\ngridsize = 2\n")
    model = train(scan, config_file=tmp_path / "c.toml", batch_size=8)
    config = fake.trainings[-1]["config"]
    assert (config.nepochs, config.batch_size, config.model.gridsize) == (7, 8, 2)
    assert model.overrides_applied["nepochs"]["origin"] == "config file"


def test_mistakes_are_told_before_any_work(fake, scan, tmp_path):
    with pytest.raises(ConfigError) as refused:
        train(scan, nepoch=3, batch_size=0)
    assert refused.value.names == ("nepoch", "batch_size")
    with pytest.raises(InvalidValueError) as unknown:
        train(scan, backend="caffe")
    assert unknown.value.name == "backend"
    with pytest.raises(InvalidValueError) as homeless:
        train(scan, resume=True)
    assert homeless.value.name == "output"
    with pytest.raises(InvalidValueError):
        train(scan, devices=2)  # which process would keep the bundle?
    with pytest.raises(ConfigError, match=r"N .* is 128"):
        train(scan, N=128, output=tmp_path / "m")
    assert not fake.trainings
    model = train(scan)
    with pytest.raises(ConfigError) as another:
        reconstruct(model, scan, gridsize=2)
    assert another.value.names == ("gridsize",)
    assert not list(tmp_path.iterdir())


def test_an_interruption_has_what_was_trained(scan):
    with (
        registered(FakeBackend(name="pytorch", interrupted=True)),
        pytest.raises(TrainingInterrupted) as stopped,
    ):
        train(scan)
    assert stopped.value.result.epochs == 2


def test_progress_is_shown_unless_switched_off(fake, scan, capsys, monkeypatch):
    del fake
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # of a program without logging
    model = train(scan)
    reconstruct(model, scan)
    err = capsys.readouterr().err
    assert "settings from data: " in err
    assert "reconstructing: 48/48" in err
    reconstruct(train(scan, progress=False), scan, progress=False)
    assert not capsys.readouterr().err


def test_a_refinement_lowers_the_r_factor(fake, scan):
    del fake
    plain = reconstruct(train(scan), scan)
    refined = reconstruct(train(scan), scan, refine=3)
    assert refined.r_factor < refined.metrics["r_factor_network"] == plain.r_factor


def interrupting(number):
    """Progress that sends Ctrl-C at an epoch of the solver, counted over scan and halves."""
    epochs = []

    @contextlib.contextmanager
    def progress(_total, label):
        def update(done, _remark=""):
            if label == "refining":
                epochs.append(done)
                if len(epochs) == number:
                    os.kill(os.getpid(), signal.SIGINT)

        yield update

    return progress


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize(("number", "epochs"), [(2, 2), (4, 3)])
def test_an_interrupted_step_keeps_what_there_is(scan, tmp_path, monkeypatch, number, epochs):
    monkeypatch.setattr("ptycho_core.reconstruction.call.show_progress", interrupting(number))
    more = {"refine": 3, "half_scan_frc": True, "output": tmp_path / "r", "pictures": False}
    with pytest.raises(InferenceInterrupted, match=f"after {epochs} epochs of the solver") as stop:
        reconstruct(train(scan), scan, **more)
    metrics = json.loads((tmp_path / "r" / "metrics.json").read_text())
    assert metrics == jsonable(stop.value.result.metrics)
    assert (metrics["stopped"], metrics["half_scan_frc"]) == ("interrupted", None)
    assert len(metrics["r_factors_refining"]) == epochs
    assert json.loads((tmp_path / "r" / "run.json").read_text())["stopped"] == "interrupted"
    rec = load_reconstruction(tmp_path / "r")
    np.testing.assert_array_equal(rec.object, stop.value.result.object)


@pytest.mark.usefixtures("fake")
def test_an_interrupt_in_the_first_epoch_keeps_the_object_of_the_network(
    scan, tmp_path, monkeypatch
):
    model = train(scan)
    plain = reconstruct(model, scan, output=tmp_path / "plain", pictures=False)
    monkeypatch.setattr("ptycho_core.refinement.initial_object", _interrupted(initial_object))
    with pytest.raises(InferenceInterrupted, match="that of the network"):
        reconstruct(model, scan, refine=3, output=tmp_path / "r", pictures=False)
    np.testing.assert_array_equal(load_reconstruction(tmp_path / "r").object, plain.object)


def _interrupted(function):
    def call(*arguments):
        os.kill(os.getpid(), signal.SIGINT)
        return function(*arguments)

    return call


def test_of_a_scan_without_a_probe_the_given_one_is_used(fake, scan, scan_file, tmp_path):
    with np.load(scan_file) as file:
        arrays = {name: file[name] for name in file.files if name != "probeGuess"}
    np.savez(tmp_path / "bare.npz", **arrays)
    np.savez(tmp_path / "probe.npz", probe=scan.probe)
    train(tmp_path / "bare.npz", probe=tmp_path / "probe.npz")
    np.testing.assert_array_equal(fake.trainings[-1]["scans"].probe, scan.probe)


def test_another_dose_than_the_data_s_is_asked_for(fake, scan):
    amplitudes = np.sqrt(scan.diffraction).astype(np.float32)
    stored = evolve(
        scan, diffraction=amplitudes, domain="amplitude", nphotons=1e5, known_totals=None
    )
    assert train(stored).config.nphotons == 1e5
    assert train(stored, nphotons=3e5).config.nphotons == 3e5
    assert len(fake.trainings) == 2


def test_a_probe_is_refined_before_the_training(fake, scan, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    poor = evolve(scan, probe=scan.probe * np.linspace(0, 1, 64, dtype=np.float32))
    model = train(poor, output=tmp_path / "m", refine_probe=True)
    call = fake.trainings[-1]
    (refined,) = model.probes
    np.testing.assert_array_equal(call["probe"], refined.probe)
    assert similarity(scan.probe, poor.probe) < 0.98 < similarity(scan.probe, refined.probe)
    assert model.bundle.scaling["probe_given"]  # a reconstruction uses it
    run = json.loads((tmp_path / "m" / "run.json").read_text())
    assert run["probe_refinement"] == [refined.record]
    with pytest.raises(InvalidValueError) as refused:
        train(poor, output=tmp_path / "m", resume=True)
    assert refused.value.name == "refine_probe"
    assert "twin" in caplog.text
    assert train(poor).probes == []


def test_refined_probes_of_several_scans_are_kept_apart(fake, scan, scan_file, tmp_path):
    model = train([scan, scan_file], output=tmp_path / "m", test_scan=scan, refine_probe=True)
    call = fake.trainings[-1]
    assert call["probe"] is None
    for trained, refined in zip(call["scans"], model.probes, strict=True):
        np.testing.assert_array_equal(trained.probe, refined.probe)
    np.testing.assert_array_equal(call["test_scan"].probe, model.probes[0].probe)
    stored = load_probe(tmp_path / "m" / "refined" / "2-scan.npz", scan.N)
    np.testing.assert_array_equal(stored, model.probes[1].probe)


def test_a_guessed_probe_is_searched_before_the_training(fake, scan, tmp_path):
    guessed = evolve(scan, probe=np.ones_like(scan.probe), probe_made=True)
    model = train(guessed, output=tmp_path / "m")
    call = fake.trainings[-1]
    np.testing.assert_array_equal(call["probe"], call["scans"].probe)
    assert similarity(scan.probe, call["probe"]) > 0.9
    assert model.bundle.scaling["probe_given"]  # a reconstruction uses it
    assert [c.code for c in model.cautions if "probe" in c.code] == ["found-probe"]
    run = json.loads((tmp_path / "m" / "run.json").read_text())
    assert run["first_probe"][0]["source"] == "data"
    assert run["probe_refinement"] == []


def test_a_poor_probe_is_told_before_the_training(fake, scan, tmp_path, caplog):
    del fake
    blank = evolve(scan, probe=np.ones_like(scan.probe))
    model = train(blank, output=tmp_path / "m")
    (caution,) = (c for c in model.cautions if c.code in ("poor-probe", "poor-start"))
    assert sum(caution.text in record.getMessage() for record in caplog.records) == 1
    run = json.loads((tmp_path / "m" / "run.json").read_text())
    assert caution.code in [entry["code"] for entry in run["cautions"]]


def guessed(scan):
    return evolve(scan, probe=np.ones_like(scan.probe), probe_made=True)


def test_a_network_uses_the_probe_that_was_found(fake, scan, tmp_path, caplog):
    """It is searched once, whatever repeats the pass, and takes precedence over the bundle's."""
    caplog.set_level(logging.INFO)
    model = train(scan)
    more = {"output": tmp_path / "r", "half_scan_frc": True}
    result = reconstruct(model, guessed(scan), first_probe="auto", **more)
    calls = fake.reconstructions[-3:]
    assert [call["scan"].n for call in calls] == [
        scan.n,
        *result.metrics["half_scan_frc"]["patterns"],
    ]
    for call in calls:
        np.testing.assert_array_equal(call["probe"], result.probe)
    assert similarity(scan.probe, result.probe) > 0.9
    assert caplog.text.count("searching the probe") == 1
    assert [c.code for c in result.cautions if "probe" in c.code] == ["found-probe"]
    run = json.loads((tmp_path / "r" / "run.json").read_text())
    assert run["asked"] == {"first_probe": "auto", "half_scan_frc": True}
    assert run["first_probe"] == jsonable(result.metrics["first_probe"])
    assert run["first_probe"]["source"] == "data"
    assert run["timings_s"]["first probe"] > 0
    stored = load_reconstruction(tmp_path / "r" / "reconstruction.npz")
    np.testing.assert_array_equal(stored.probe, result.probe)
    again = reconstruct(model, guessed(scan), first_probe="auto")
    np.testing.assert_array_equal(again.probe, result.probe)  # as every process finds it


def test_a_first_probe_replaces_a_given_one(fake, scan, scan_file):
    model = train(scan)
    for probe in (scan.probe, scan_file):
        with pytest.raises(InvalidValueError, match="given without probe_file, which it replaces"):
            reconstruct(model, scan, first_probe="auto", probe=probe)
    with pytest.raises(InvalidValueError, match="setting of zone-plate must be"):
        reconstruct(model, scan, first_probe="zone-plate:nothing=1")
    assert not fake.reconstructions


def test_the_file_of_the_first_probe_is_an_input(fake, scan, scan_file, tmp_path):
    del fake
    model = train(scan)
    out = tmp_path / "r"
    result = reconstruct(model, scan, first_probe=str(scan_file), output=out)
    run = json.loads((out / "run.json").read_text())
    assert run["inputs"]["first_probe"]["name"] == "scan.npz"
    assert result.metrics["first_probe"]["source"] == str(scan_file)
    assert not [c for c in result.cautions if "probe" in c.code]
    text = f"{out / 'reconstruction.npz'}"
    with pytest.raises(InvalidValueError, match="inputs are never replaced"):
        reconstruct(model, scan, first_probe=text, output=out, overwrite=True)


def test_a_probe_is_refined_before_the_network(fake, scan, tmp_path):
    """As before a training; with steps after the network, the probe is refined there instead."""
    model = train(scan)
    poor = evolve(scan, probe=scan.probe * np.exp(1j * np.linspace(-1, 1, scan.N) ** 2))
    result = reconstruct(model, poor, refine_probe=True, output=tmp_path / "r")
    (call,) = fake.reconstructions
    np.testing.assert_array_equal(call["probe"], refine_probe(poor).probe)
    assert similarity(scan.probe, call["probe"]) > similarity(scan.probe, poor.probe)
    run = json.loads((tmp_path / "r" / "run.json").read_text())
    assert run["probe_refinement"]["epochs"] == result.metrics["probe_refinement"]["epochs"] > 1
    assert run["refinement"] == {"steps": 0, "probe": False, "positions": False}
    after = reconstruct(model, poor, refine_probe=True, refine=2)
    assert fake.reconstructions[-1]["probe"] is None
    assert "probe_refinement" not in after.metrics
    assert after.metrics["r_factor_network"] > after.metrics["r_factor"]


def test_the_probe_that_is_refined_is_the_one_that_would_be_used(fake, scan):
    """The given one, else that of the bundle, else that of the scan, searched if it is a guess."""
    trained = train(scan, probe=scan.probe)  # kept in the bundle
    for model, probe, searched in (
        (train(scan), scan.probe, False),
        (trained, None, False),
        (train(scan), None, True),
    ):
        result = reconstruct(model, guessed(scan), probe=probe, refine_probe=True)
        found = [c.code for c in result.cautions if "probe" in c.code]
        assert found == (["found-probe"] if searched else [])
        assert ("first_probe" in result.metrics) == searched
        assert similarity(scan.probe, fake.reconstructions[-1]["probe"]) > 0.9


def test_what_to_type_for_a_guessed_probe(fake, scan):
    del fake
    result = reconstruct(train(scan), guessed(scan))
    (caution,) = (c for c in result.cautions if c.code == "guessed-probe")
    assert "ptycho infer" in caution.text
    assert "--first-probe auto" in caution.text
    (doubt,) = (c for c in result.cautions if c.code == "poor-fit")
    assert "ptycho infer --refine-probe" in doubt.text


def test_the_verdict_and_the_twin_of_a_reconstruction(fake, scan, caplog):
    del fake
    caplog.set_level(logging.INFO)
    model = train(scan)
    plain = reconstruct(model, scan)
    assert plain.verdict.ratio == plain.metrics["r_over_noise"] > 1
    assert "twin" not in caplog.text
    refined = reconstruct(model, scan, refine=4, refine_probe=True)
    assert refined.verdict.ratio < plain.verdict.ratio
    assert caplog.text.count("a twin") == 1


def test_a_training_starts_from_a_model(fake, scan, tmp_path):
    """Its network, few epochs and a low rate are the defaults; record and bundle name it."""
    old = train(scan, output=tmp_path / "old", joint_stages=True, n_filters_scale=1, seed=3)
    for start in (old, old.bundle, tmp_path / "old", str(old.path)):
        tuned = train(scan, start=start)
        call = fake.trainings[-1]
        np.testing.assert_array_equal(
            call["start"].weights["layer.weight"], old.bundle.weights["layer.weight"]
        )
    assert origins(tuned.overrides_applied)["joint_stages"] == "bundle"
    assert (tuned.config.model.joint_stages, tuned.config.model.n_filters_scale) == (True, 1)
    assert (tuned.config.nepochs, tuned.config.seed) == (fine_tuning.EPOCHS, 0)
    assert tuned.execution.learning_rate == fine_tuning.RATE * 2e-3
    tuned = train(
        scan, start=old.path.parent, output=tmp_path / "new", nepochs=2, learning_rate=1e-2
    )
    assert (tuned.config.nepochs, tuned.execution.learning_rate) == (2, 1e-2)
    assert fake.trainings[-1]["start_name"] == "old"
    record = json.loads((tmp_path / "new" / "run.json").read_text())
    assert record["inputs"]["start"]["sha256"] == hashlib.sha256(old.path.read_bytes()).hexdigest()
    train(scan)
    assert "start" not in fake.trainings[-1]


def test_a_start_that_cannot_be_is_told_before_any_work(fake, scan, tmp_path):
    old = train(scan, architecture="cnn", n_filters_scale=1)
    for name, settings in (
        ("architecture", {"architecture": "unrolled"}),
        ("n_filters_scale", {"n_filters_scale": 2}),
        ("gridsize", {"gridsize": 2}),
    ):
        with pytest.raises(InvalidValueError) as refused:
            train(scan, start=old, **settings)
        assert refused.value.name == name
    large = evolve(
        old.bundle, config=to_dict(evolve(old.config, model=evolve(old.config.model, N=128)))
    )
    with pytest.raises(InvalidValueError, match="128, that of the model") as refused:
        train(scan, start=large)
    assert refused.value.name == "N"
    foreign = evolve(old.config, model=evolve(old.config.model, architecture="not_here:Network"))
    with pytest.raises(InvalidValueError, match="give --architecture not_here:Network"):
        train(scan, start=evolve(old.bundle, config=to_dict(foreign)))
    with pytest.raises(BundleError):
        train(scan, start=tmp_path)
    assert len(fake.trainings) == 1


@pytest.mark.usefixtures("fake")
def test_an_output_folder_is_not_that_of_the_start(scan, tmp_path):
    train(scan, output=tmp_path / "model")
    with pytest.raises(InvalidValueError):
        train(scan, start=tmp_path / "model", output=tmp_path / "model", overwrite=True)
