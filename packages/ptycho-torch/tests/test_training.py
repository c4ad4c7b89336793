import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest
import torch
from attrs import evolve
from ptycho_data import OutputExistsError, load_bundle, load_probe, save_scan
from ptycho_physics import DivergenceError, defocused_probe, simulate_counts
from ptycho_torch.bundles import model_from
from ptycho_torch.module import PtychoModule
from ptycho_torch.reconstruction import reconstruct
from ptycho_torch.training import train


def weights(result):
    return load_bundle(result.bundle_path).weights


def same(first, second):
    return all(np.array_equal(first[name], second[name]) for name in first)


def test_training_lowers_the_losses_and_writes_a_bundle(scan, training, execution):
    result = train(scan, training(nepochs=4), execution())
    assert result.epochs == 4
    assert result.history["train_loss"][-1] < 0.8 * result.history["train_loss"][0]
    assert result.history["val_loss"][-1] < result.history["val_loss"][0]
    bundle = load_bundle(result.bundle_path)
    assert bundle.backend == "pytorch"
    assert bundle.config["model"]["architecture"] == "unrolled"
    assert bundle.history["train_loss"] == result.history["train_loss"]
    photons = bundle.scaling["photons"]
    assert photons == pytest.approx(scan.mean_photons(), rel=0.05)
    assert bundle.scaling["input_scale"] == pytest.approx(32 / photons**0.5)
    gain = np.exp(bundle.weights["log_scale"])
    assert bundle.scaling["intensity_scale"] == pytest.approx(gain * photons**0.5 / 32)


@pytest.mark.parametrize("architecture", ["cnn", "unrolled"])
@pytest.mark.parametrize("gridsize", [1, 2])
def test_every_network_trains_with_every_gridsize(
    scan, training, execution, architecture, gridsize
):
    config = training({"architecture": architecture, "gridsize": gridsize}, n_groups=16, nepochs=1)
    result = train(scan, config, execution())
    assert np.isfinite(result.history["train_loss"]).all()
    assert load_bundle(result.bundle_path).config["model"]["gridsize"] == gridsize


def test_same_seed_same_weights_bit_by_bit(scan, training, execution, tmp_path):
    first = train(scan, training(output_dir=tmp_path / "a"), execution())
    second = train(scan, training(output_dir=tmp_path / "b"), execution())
    other = train(scan, training(output_dir=tmp_path / "c", seed=1), execution())
    assert same(weights(first), weights(second))
    assert not same(weights(first), weights(other))


def test_accumulating_two_half_batches_is_a_step_of_its_own(scan, training, execution):
    result = train(scan, training(nepochs=2), execution(accum_steps=2))
    assert np.isfinite(result.history["train_loss"]).all()


def test_a_test_scan_replaces_the_split(scan, training, execution):
    result = train(scan, training(nepochs=1), execution(), test_scan=scan)
    assert set(result.history) >= {"val_loss", "train_loss", "val_nll", "learning_rate"}


@pytest.mark.parametrize(
    ("weight", "term"),
    [
        ("nll_weight", "train_nll"),
        ("mae_weight", "train_mae"),
        ("realspace_weight", "train_realspace"),
        ("realspace_mae_weight", "train_realspace_mae"),
    ],
)
def test_each_loss_weight_brings_its_term(scan, training, execution, weight, term):
    settings = {"nll_weight": 0.0, weight: 0.5, "nepochs": 1, "n_groups": 16}
    history = train(scan, training(**settings), execution()).history
    terms = {name for name in history if name.startswith("train_")} - {"train_loss"}
    assert terms == {term}
    assert history["train_loss"] == history[term]


def test_supervised_learns_from_the_truth(scan, training, execution):
    config = training({"model_type": "supervised", "architecture": "cnn"}, nepochs=3)
    history = train(scan, config, execution()).history
    assert history["train_realspace_mae"][-1] < history["train_realspace_mae"][0]
    blind = evolve(scan, object_guess=None)
    with pytest.raises(ValueError, match="objectGuess or Y: needed"):
        train(blind, config, execution(), overwrite=True)


def test_a_trained_probe_is_kept_in_the_bundle(scan, training, execution, tmp_path):
    probes = {}
    for trainable in (False, True):
        config = training(
            nepochs=1, n_groups=16, probe_trainable=trainable, output_dir=tmp_path / str(trainable)
        )
        probes[trainable] = load_bundle(train(scan, config, execution()).bundle_path).probe
    given = scan.probe / np.linalg.norm(scan.probe)
    np.testing.assert_allclose(probes[False], given, atol=1e-6)
    assert np.abs(probes[True] - given).max() > 1e-5
    assert np.linalg.norm(probes[True]) == pytest.approx(1, rel=1e-4)


def test_amplitudes_train_like_the_counts_they_came_from(scan, training, execution, tmp_path):
    amplitude = np.sqrt(scan.diffraction).astype(np.float32)
    as_amplitude = evolve(
        scan,
        diffraction=amplitude / amplitude.max(),
        domain="amplitude",
        nphotons=scan.mean_photons(),
    )
    counts = train(scan, training(output_dir=tmp_path / "a"), execution())
    amplitudes = train(as_amplitude, training(output_dir=tmp_path / "b"), execution())
    np.testing.assert_allclose(
        amplitudes.history["train_loss"], counts.history["train_loss"], rtol=1e-2
    )


def test_an_existing_bundle_is_kept_unless_told(scan, training, execution):
    config = training(nepochs=1, n_groups=8)
    first = train(scan, config, execution()).bundle_path.read_bytes()
    with pytest.raises(OutputExistsError, match="--overwrite"):
        train(scan, config, execution())
    assert (config.output_dir / "wts.h5.zip").read_bytes() == first
    train(scan, config, execution(), overwrite=True)
    assert len(list((config.output_dir / "checkpoints").iterdir())) == 2  # best and last


def test_a_checkpoint_without_a_bundle_is_kept_unless_told(scan, training, execution):
    config = training(nepochs=1, n_groups=8)
    train(scan, config, execution()).bundle_path.unlink()  # what a killed run leaves
    with pytest.raises(OutputExistsError, match=r"last\.ckpt: exists already"):
        train(scan, config, execution())
    train(scan, config, execution(), resume=True)


def test_a_loss_that_is_never_logged_is_an_error_before_training(scan, training, execution):
    with pytest.raises(ValueError, match="checkpoint_monitor_metric: one of train_loss, val_loss"):
        train(scan, training(), execution(checkpoint_monitor_metric="val_accuracy"))


@pytest.mark.parametrize(
    ("name", "options"), [("SIGINT", False), ("SIGTERM", False), ("SIGTERM", True)]
)
def test_resuming_gives_the_identical_end_result(
    scan, training, execution, tmp_path, name, options
):
    config = training(
        {"joint_stages": options},
        nepochs=4,
        average_weights=options,
        output_dir=tmp_path / "whole",
    )
    whole = train(scan, config, execution())
    script = textwrap.dedent("""
        import signal, sys
        from attrs import evolve
        from lightning.pytorch import Callback, Trainer
        import ptycho_torch.callbacks as callbacks
        from ptycho_config import ModelConfig, PyTorchExecutionConfig, TrainingConfig
        from ptycho_data import load_scan
        from ptycho_torch.training import train
        import torch

        torch.set_num_threads(1)
        # a process started in the background of a script inherits that it ignores Ctrl-C
        signal.signal(signal.SIGINT, signal.default_int_handler)
        scan, out, stop = load_scan(sys.argv[1]), sys.argv[2], sys.argv[3] == "stop"
        options = sys.argv[5] == "True"
        config = TrainingConfig(
            model=ModelConfig(
                architecture="unrolled", n_filters_scale=1, joint_stages=options
            ),
            train_data_file="scan.npz", backend="pytorch", nepochs=4, batch_size=8, output_dir=out,
            average_weights=options,
        )
        if stop:  # the signal arrives in the middle of the third epoch
            class Kill(callbacks.LossHistory):
                def on_train_batch_start(self, trainer, module, batch, index):
                    if trainer.current_epoch == 2 and index == 1:
                        signal.raise_signal(getattr(signal, sys.argv[4]))
            import ptycho_torch.fitting as fitting
            fitting.LossHistory = Kill
        execution = PyTorchExecutionConfig(learning_rate=2e-3, logger_backend="none")
        try:
            train(scan, config, execution, resume=not stop)
        except KeyboardInterrupt:
            sys.exit(130)
    """)
    path = tmp_path / "scan.npz"
    save_scan(path, scan)
    out = tmp_path / name

    def run(what):
        command = [sys.executable, "-c", script, str(path), str(out), what, name, str(options)]
        return subprocess.run(command, check=False).returncode  # noqa: S603 - our own program

    assert run("stop") == 130
    best = load_bundle(out)  # valid, of the best of the two epochs that ended
    assert len(best.history["train_loss"]) == 2
    assert run("go") == 0
    assert same(load_bundle(out).weights, weights(whole))
    assert load_bundle(out).history["train_loss"] == whole.history["train_loss"]


def test_nothing_to_resume_from_is_said(scan, training, execution):
    with pytest.raises(FileNotFoundError, match="nothing to resume from"):
        train(scan, training(), execution(), resume=True)


def test_csv_logger_writes_the_losses(scan, training, execution):
    config = training(nepochs=1, n_groups=8)
    train(scan, config, execution(logger_backend="csv"))
    header = (config.output_dir / "logs" / "metrics.csv").read_text().splitlines()[0]
    assert "train_loss" in header


def test_a_missing_logger_is_named_with_the_pip_command(scan, training, execution):
    import importlib.util

    if importlib.util.find_spec("mlflow") is not None:
        pytest.skip("mlflow is installed here")
    with pytest.raises(RuntimeError, match="pip install mlflow"):
        train(scan, training(), execution(logger_backend="mlflow"))


@pytest.mark.parametrize("joint", [False, True])
def test_two_processes_train_like_one(scan, tmp_path, joint):
    script = textwrap.dedent("""
        import json, sys
        import torch
        from ptycho_config import ModelConfig, PyTorchExecutionConfig, TrainingConfig
        from ptycho_data import load_scan
        from ptycho_torch.training import train

        torch.set_num_threads(1)
        scan, out, devices = load_scan(sys.argv[1]), sys.argv[2], int(sys.argv[3])
        config = TrainingConfig(
            model=ModelConfig(
                architecture="unrolled", n_filters_scale=1, joint_stages=sys.argv[4] == "True"
            ),
            train_data_file="scan.npz", backend="pytorch", nepochs=1,
            batch_size=8, output_dir=out, n_groups=32,
        )
        execution = PyTorchExecutionConfig(
            learning_rate=1e-3, logger_backend="none", devices=devices,
            strategy="ddp" if devices > 1 else "auto", accum_steps=3 - devices,
        )
        train(scan, config, execution)
    """)
    path, program = tmp_path / "scan.npz", tmp_path / "program.py"
    save_scan(path, scan)
    program.write_text(script)  # Lightning starts the second process from the file
    for devices in (1, 2):  # two batches a step: one after the other, or side by side
        command = [sys.executable, str(program), str(path), str(tmp_path / f"{devices}")]
        command += [str(devices), str(joint)]
        subprocess.run(command, check=True, timeout=120)  # noqa: S603 - our own
    one, two = (load_bundle(tmp_path / f"{devices}").weights for devices in (1, 2))
    for name in one:
        np.testing.assert_allclose(two[name], one[name], atol=2e-4, err_msg=name)


def test_training_works_in_a_thread(scan, training, execution):
    config = training(nepochs=1, n_groups=8)
    thread = threading.Thread(target=train, args=(scan, config, execution()))
    thread.start()
    thread.join()
    assert load_bundle(config.output_dir).history["train_loss"]


def test_divergence_is_an_error_and_the_old_checkpoints_stay(scan, training, execution):
    config = training(nepochs=1, n_groups=8)
    train(scan, config, execution())
    before = {p.name for p in (config.output_dir / "checkpoints").iterdir()}
    with pytest.raises(DivergenceError, match="lower learning_rate"):
        train(scan, evolve(config, nepochs=5), execution(learning_rate=1e12), overwrite=True)
    assert {p.name for p in (config.output_dir / "checkpoints").iterdir()} == before
    assert np.isfinite(load_bundle(config.output_dir).history["train_loss"]).all()


def test_leftovers_of_a_killed_run_do_not_stop_the_next(scan, training, execution):
    config = training(nepochs=1, n_groups=8)
    train(scan, config, execution())
    left = config.output_dir / "checkpoints.old"
    left.mkdir()
    (left / "last.ckpt").write_bytes(b"of a run before that")
    train(scan, config, execution(), overwrite=True)
    assert not left.exists()


def test_patterns_without_light_do_not_harm(scan, training, execution):
    dark = scan.diffraction.copy()
    dark[:20] = 0
    config = training(nepochs=1, batch_size=1, n_groups=30, nll_weight=0.0, mae_weight=1.0)
    history = train(evolve(scan, diffraction=dark), config, execution()).history
    assert np.isfinite(history["train_loss"]).all()


def test_a_supervised_network_leaves_the_scale_alone(scan, training, execution):
    config = training({"model_type": "supervised"}, nepochs=1, n_groups=16)
    assert float(weights(train(scan, config, execution()))["log_scale"]) == 0


def test_resuming_keeps_the_losses_of_the_log(scan, training, execution):
    log = execution(logger_backend="csv")
    config = training(nepochs=1, n_groups=8)
    train(scan, config, log)
    train(scan, evolve(config, nepochs=2), log, resume=True)
    logs = config.output_dir / "logs"
    assert (logs / "metrics.csv").is_file()
    assert (logs / "resumed-1" / "metrics.csv").is_file()


def test_resuming_a_finished_training_leaves_the_bundle_alone(scan, training, execution, caplog):
    config = training(nepochs=1, n_groups=8)
    path = train(scan, config, execution()).bundle_path
    before = path.read_bytes()
    with caplog.at_level("INFO", "ptycho_torch"):
        result = train(scan, config, execution(), resume=True)
    assert not result.written
    assert result.epochs == 1
    assert "the bundle stays as it is" in caplog.text
    assert path.read_bytes() == before
    path.unlink()  # but one that is missing is made
    assert train(scan, config, execution(), resume=True).written
    assert same(load_bundle(path).weights, load_bundle(path).weights)


@pytest.fixture
def other_scan(scan):
    """The sample at another dose, with another probe, half as many patterns and a bad pixel."""
    half = scan.select(np.arange(0, scan.n, 2))
    probe = np.roll(scan.probe, 3, axis=-1)
    bad = np.zeros((64, 64), dtype=bool)
    bad[10, 12] = True
    return evolve(half, probe=probe, diffraction=4 * half.diffraction, bad_pixels=bad)


def test_several_scans_are_trained_on_with_what_is_their_own(
    scan, other_scan, training, execution, inference
):
    result = train([scan, other_scan], training(), execution())
    bundle = load_bundle(result.bundle_path)
    first, second = bundle.scaling["scans"]
    assert (first["patterns"], second["patterns"]) == (scan.n, other_scan.n)
    assert second["photons"] == pytest.approx(4 * first["photons"], rel=0.1)
    assert np.isfinite(result.history["val_loss"]).all()
    assert not (result.bundle_path.parent / "refined").exists()
    for each in (scan, other_scan):  # inference has the probe of the scan at hand
        probe = reconstruct(bundle, each, inference(), execution()).reconstruction.probe
        np.testing.assert_allclose(probe, each.probe / np.linalg.norm(each.probe), atol=1e-6)


def test_each_scan_meets_its_own_probe_in_training(scan, training, execution):
    """A scan whose probe is wrong is fitted worse: so it is its own that it was trained with."""
    config = training(nepochs=1)
    right = train([scan, scan], config, execution(), overwrite=True).history["train_loss"][0]
    wrong = evolve(scan, probe=defocused_probe(64, 20))
    mixed = train([scan, wrong], config, execution(), overwrite=True).history["train_loss"][0]
    assert mixed > 1.1 * right


def test_an_explicit_dose_wins_over_the_files(scan, training, execution):
    amplitude = np.sqrt(scan.diffraction).astype(np.float32)
    stated = evolve(scan, diffraction=amplitude, domain="amplitude", nphotons=1e4)

    def photons(overrides=None, **asked):
        config = training(nepochs=1, n_groups=8, **asked)
        result = train(
            stated,
            config,
            execution(),
            test_scan=stated,
            overrides_applied=overrides,
            overwrite=True,
        )
        return load_bundle(result.bundle_path).scaling["photons"]

    assert photons() == pytest.approx(1e4, rel=0.1)
    assert photons(nphotons=1e6) == pytest.approx(1e6, rel=0.1)
    of_file = {"nphotons": {"value": 1e6, "origin": "data"}}  # of another scan, say
    assert photons(of_file, nphotons=1e6) == pytest.approx(1e4, rel=0.1)


def test_scans_of_two_sizes_are_refused(scan, training, execution):
    small = evolve(scan, diffraction=scan.diffraction[:, ::2, ::2], probe=scan.probe[:, ::2, ::2])
    with pytest.raises(ValueError, match="must have the 64 x 64 pixels of the model, found 32"):
        train([scan, small], training(), execution())


def test_trained_probes_of_several_scans_are_kept_beside_the_bundle(
    scan, other_scan, training, execution
):
    config = training(nepochs=1, n_groups=16, probe_trainable=True)
    folder = train([scan, other_scan], config, execution()).bundle_path.parent / "refined"
    files = sorted(folder.iterdir())
    assert [path.name for path in files] == ["1-scan.npz", "2-scan.npz"]
    for path, each in zip(files, (scan, other_scan), strict=True):
        change = np.abs(load_probe(path) - each.probe / np.linalg.norm(each.probe)).max()
        assert 1e-5 < change < 0.1


@pytest.mark.slow
def test_wrong_positions_move_towards_the_right_ones(scan, training, execution):
    rng = np.random.default_rng(3)
    error = rng.normal(scale=1.0, size=(scan.n, 2))
    wrong = evolve(scan, xcoords=scan.xcoords + error[:, 0], ycoords=scan.ycoords + error[:, 1])
    config = training(nepochs=12, positions_trainable=True)
    result = train(wrong, config, execution(checkpoint_monitor_metric="train_loss"))
    with np.load(result.bundle_path.parent / "refined" / "1-scan.npz") as file:
        found = np.stack([file["xcoords"], file["ycoords"]], axis=1)
        np.testing.assert_allclose(file["offsets"], found - wrong.positions, atol=1e-9)

    def left(positions):
        off = positions - scan.positions
        return np.sqrt(np.square(off - off.mean(axis=0)).mean())

    assert left(found) < 0.8 * left(wrong.positions)


def test_batches_are_imagined_where_asked_for_and_only_there(
    scan, training, execution, tmp_path, monkeypatch
):
    monkeypatch.setattr("ptycho_torch.module.FIRST_IMAGINED_EPOCH", 0)
    found = {}
    for wanted in (False, True):
        config = training(
            nepochs=3,
            n_groups=32,
            batch_size=8,
            imagined_batches=wanted,
            output_dir=tmp_path / str(wanted),
        )
        found[wanted] = train(scan, config, execution()).history["train_loss"]
    assert found[True][0] == found[False][0]  # nothing was reconstructed yet
    assert found[True][1] != found[False][1]


def test_the_mean_of_the_weights_is_kept_where_asked_for(scan, training, execution, monkeypatch):
    steps = []

    def note(module, *_):
        steps.append([p.detach().clone() for p in module.model.network.parameters()])

    monkeypatch.setattr(PtychoModule, "on_train_batch_end", note)
    config = training(nepochs=1, n_groups=48, batch_size=8, average_weights=True)
    found = model_from(load_bundle(train(scan, config, execution()).bundle_path))
    counted = [t * (t + 1) for t in range(1, len(steps) + 1)]
    assert len(steps) > 3
    for k, parameter in enumerate(found.network.parameters()):
        wanted = sum(c * step[k] for c, step in zip(counted, steps, strict=True)) / sum(counted)
        torch.testing.assert_close(parameter.detach(), wanted, rtol=1e-4, atol=1e-6)


def test_intensity_scale_is_a_parameter_that_training_moves(scan, training, execution, tmp_path):
    for trainable in (True, False):
        config = training(
            nepochs=1,
            n_groups=16,
            intensity_scale_trainable=trainable,
            output_dir=tmp_path / str(trainable),
        )
        found = float(weights(train(scan, config, execution()))["log_scale"])
        assert (found != 0) is trainable


def test_a_thousand_photons_are_enough_to_train_with(scan, training, execution):
    counts = simulate_counts(scan.object_guess, scan.probe, scan.positions, 1e3, seed=0)
    history = train(evolve(scan, diffraction=counts), training(), execution()).history
    assert history["train_loss"][-1] < history["train_loss"][0]
    assert np.isfinite(history["val_loss"]).all()


@pytest.mark.gpu
@pytest.mark.parametrize("gridsize", [1, 2])
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_it_trains_and_reconstructs_on_a_gpu(
    scan, training, inference, execution, gridsize, precision
):
    config = training({"gridsize": gridsize}, n_groups=16, probe_trainable=True)
    settings = execution(accelerator="cuda", precision=precision)
    result = train(scan, config, settings)
    rec = reconstruct(load_bundle(result.bundle_path), scan, inference(), settings)
    assert rec.r_factor < 0.6


def test_joint_stages_are_trained_in_teams_and_kept(scan, training, execution, tmp_path):
    model, settings = {"joint_stages": True}, {"nepochs": 12, "imagined_batches": True}
    config = training(model, n_groups=48, **settings)
    bundle = load_bundle(train(scan, config, execution()).bundle_path)
    assert bundle.config["model"]["joint_stages"]
    assert bundle.history["train_loss"][-1] < bundle.history["train_loss"][0]
    config = training(model, n_groups=48, output_dir=tmp_path / "again", **settings)
    again = load_bundle(train(scan, config, execution()).bundle_path)
    for name, weight in bundle.weights.items():
        np.testing.assert_array_equal(again.weights[name], weight)
