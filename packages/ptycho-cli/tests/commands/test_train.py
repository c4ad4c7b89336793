import json
import re

import numpy as np
import pytest
from ptycho_core.outputs import TRAINING_FILES
from ptycho_core.sampling import with_photons
from ptycho_core.testing import FakeBackend, registered
from ptycho_data import load_bundle


def test_outputs_and_defaults_of_the_command(ptycho, scan_file, tmp_path, stand_in):
    done = ptycho("train", scan_file, "-o", tmp_path / "m", "--gridsize", "2")
    assert done.code == 0, done.err
    assert {p.name for p in (tmp_path / "m").iterdir()} == set(TRAINING_FILES)
    call = stand_in.trainings[-1]
    assert call["config"].backend == "pytorch"
    assert call["config"].model.architecture == "unrolled"
    assert call["config"].model.gridsize == 2
    assert call["config"].nphotons == 1e6  # of the file
    assert call["execution"].accelerator == "auto"
    assert call["execution"].learning_rate == 2e-3
    assert call["execution"].gradient_clip_val == 1
    run = json.loads((tmp_path / "m" / "run.json").read_text())
    origins = {name: entry["origin"] for name, entry in run["overrides_applied"].items()}
    assert origins["gridsize"] == "command line"
    assert origins["N"] == origins["nphotons"] == "data"
    assert "backend" not in origins  # at its default
    assert origins["learning_rate"] == "network"
    assert run["configuration"]["train_data_file"] == "scan.npz"
    assert run["inputs"]["train_data_file"].keys() == {"name", "bytes", "sha256"}
    assert load_bundle(tmp_path / "m").overrides_applied["gridsize"]["value"] == 2
    metrics = json.loads((tmp_path / "m" / "metrics.json").read_text())
    assert metrics["final"] == {"train_loss": 1.0, "val_loss": 1.5}
    assert done.out.endswith(", kept epoch 2 of 2: val_loss 1.5\n")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("c.toml", "nepochs = 7\nbatch_size = 4\n[model]\ngridsize = 2\n"),
        ("c.yaml", "nepochs: 7\nbatch_size: 4\ngridsize: 2\n"),
        ("c.json", '{"nepochs": 7, "batch_size": 4, "gridsize": 2}'),
    ],
)
def test_config_file_and_the_command_line_over_it(
    ptycho, scan_file, tmp_path, stand_in, name, text
):
    (tmp_path / name).write_text(text)
    args = ["-o", tmp_path / "m", "--config", tmp_path / name, "--batch-size", "8"]
    assert ptycho("train", scan_file, *args).code == 0
    config = stand_in.trainings[-1]["config"]
    assert (config.nepochs, config.batch_size, config.model.gridsize) == (7, 8, 2)


def test_help_states_the_defaults_of_the_command(ptycho):
    text = " ".join(ptycho("train", "--help-all").out.split())
    assert re.search(
        r"--learning-rate NUMBER [^\[]*\[default: what the network recommends: 0\.002 for unrolled",
        text,
    )
    assert re.search(r"--gradient-clip-val NUMBER [^\[]*\[default: 1\]", text)
    assert re.search(r"--architecture NAME [^\[]*\[default: unrolled\]", text)


def test_recipe_gives_way_to_the_user(ptycho, scan_file, tmp_path, stand_in):
    (tmp_path / "c.toml").write_text("[execution]\nlearning_rate = 5e-4\n")
    args = ["--config", tmp_path / "c.toml", "--gradient-clip-val", "none"]
    assert ptycho("train", scan_file, "-o", tmp_path / "m", *args).code == 0
    execution = stand_in.trainings[-1]["execution"]
    assert (execution.learning_rate, execution.gradient_clip_val) == (5e-4, None)


class Killed(FakeBackend):
    """Interrupted by nothing that it knows of."""

    def train(self, *args, **settings):
        super().train(*args, **settings)
        raise KeyboardInterrupt


def test_interrupt_keeps_what_the_backend_wrote(ptycho, scan_file, tmp_path, backend_that):
    with registered(Killed(name="pytorch")):
        done = ptycho("train", scan_file, "-o", tmp_path / "m")
    assert done.code == 130
    assert done.err.splitlines()[-1] == "interrupted"
    assert done.err.count("interrupted") == 1
    assert not done.out
    assert {path.name for path in (tmp_path / "m").iterdir()} == set(TRAINING_FILES)
    stand_in = backend_that()
    assert ptycho("train", scan_file, "-o", tmp_path / "m", "--resume").code == 0
    assert stand_in.trainings[-1]["resume"] is True
    assert (tmp_path / "m" / "run.json").exists()


def test_probe_file_stands_in_for_the_scan_s_probe(ptycho, scan_file, tmp_path, stand_in):
    np.savez(tmp_path / "p.npz", probe=np.full((2, 64, 64), 1j, np.complex64))
    args = ["-o", tmp_path / "m", "--probe-file", tmp_path / "p.npz"]
    assert ptycho("train", scan_file, *args).code == 0
    call = stand_in.trainings[-1]
    assert call["probe"].shape == (2, 64, 64)
    assert call["scans"].probe.shape == (2, 64, 64)
    run = json.loads((tmp_path / "m" / "run.json").read_text())
    assert run["inputs"]["probe_file"]["name"] == "p.npz"
    gone = ptycho("train", scan_file, "-o", tmp_path / "n", "--probe-file", tmp_path / "gone.npz")
    assert gone.fails_with("gone.npz: no such file")


def test_photons_of_amplitudes(ptycho, amplitude_file, tmp_path, stand_in):
    def photons(path, *flags):
        args = ["-o", tmp_path / "m", "--overwrite", *flags]
        assert ptycho("train", path, *args).code == 0
        call = stand_in.trainings[-1]
        dose = call["config"].asked_photons(call["overrides_applied"])  # as every backend does
        return with_photons(call["scans"], dose).mean_photons(call["config"].nphotons)

    assert photons(amplitude_file) == 1e9
    assert photons(amplitude_file, "--nphotons", "1e5") == 1e5
    with np.load(amplitude_file) as file:
        np.savez(tmp_path / "stated.npz", **file, nphotons=2e5)
    assert photons(tmp_path / "stated.npz") == 2e5
    assert photons(tmp_path / "stated.npz", "--nphotons", "3e5") == 3e5


def test_validation_scan_and_resume(ptycho, scan_file, tmp_path, stand_in):
    args = ["-o", tmp_path / "m", "--test-data-file", scan_file]
    assert ptycho("train", scan_file, *args).code == 0
    assert stand_in.trainings[-1]["test_scan"].n == 60
    again = ptycho("train", scan_file, *args)
    assert again.code == 3
    assert again.fails_with("wts.h5.zip", "--overwrite")
    assert ptycho("train", scan_file, *args, "--resume").code == 0
    assert stand_in.trainings[-1]["resume"] is True


@pytest.mark.usefixtures("stand_in")
def test_mistakes_are_one_line_before_any_work(ptycho, scan_file, tmp_path):
    out = ["-o", tmp_path / "m"]
    size = ptycho("train", scan_file, *out, "--N", "128")
    assert size.fails_with("N (command line) is 128", "64 x 64")
    assert ptycho("train", scan_file, *out, "--gridsize", "9").code == 2
    (tmp_path / "c.toml").write_text("nepoch = 3\n")
    typo = ptycho("train", scan_file, *out, "--config", tmp_path / "c.toml")
    assert typo.fails_with("nepoch", "nepochs", "c.toml")
    (tmp_path / "broken.json").write_text("{")
    assert ptycho("train", scan_file, *out, "--config", tmp_path / "broken.json").fails_with("JSON")
    assert ptycho("train", tmp_path / "gone.npz", *out).code == 2
    assert ptycho("train", scan_file).code == 2
    few = ptycho("train", scan_file, *out, "--gridsize", "3", "--neighbor-count", "2")
    assert few.fails_with("neighbor_count")
    assert ptycho("train", scan_file, "-o", scan_file / "m").fails_with("is not a folder")
    (tmp_path / "text.npz").write_text("hello")
    assert ptycho("train", tmp_path / "text.npz", *out).fails_with("text.npz", "zip")
    assert not (tmp_path / "m").exists()


def test_flags_and_settings_of_old_scripts_map_and_are_named_once(
    ptycho, scan_file, tmp_path, stand_in
):
    (tmp_path / "c.json").write_text('{"n_images": 30}')
    args = ["-o", tmp_path / "m", "--config", tmp_path / "c.json", "--n_filters_scale", "1"]
    done = ptycho("train", scan_file, *args, "--device", "cpu", "--disable_mlflow")
    assert done.code == 0, done.err
    call = stand_in.trainings[-1]
    assert (call["config"].n_groups, call["config"].model.n_filters_scale) == (30, 1)
    assert (call["execution"].accelerator, call["execution"].logger_backend) == ("cpu", "none")
    said = [line for line in done.err.splitlines() if line.startswith("deprecated: ")]
    assert said == [
        "deprecated: --n_filters_scale is deprecated, use --n-filters-scale",
        "deprecated: --device is deprecated, use accelerator",
        "deprecated: --disable_mlflow is deprecated, use logger_backend = 'none'",
        "deprecated: n_images is deprecated, use n_groups",
    ]


@pytest.mark.parametrize(
    ("history", "words", "expected"),
    [
        ({"train_loss": [3, 2, 1], "val_loss": [3, 1.5, 2]}, (), "2 of 3: val_loss 1.5"),
        ({"train_loss": [3, 2, 1]}, (), "3 of 3: train_loss 1"),
        (
            {"train_loss": [3, 2, 1], "val_loss": [3, 1.5, 2]},
            ("--checkpoint-monitor-metric", "train_loss", "--checkpoint-mode", "max"),
            "1 of 3: train_loss 3",
        ),
        ({"train_loss": [1, 2], "val_loss": [np.nan, 2]}, (), "2 of 2: val_loss 2"),
        ({"train_loss": [1, 2]}, ("--no-enable-checkpointing",), "2 of 2: train_loss 2"),
        ({"train_loss": [1, 2]}, ("--checkpoint-save-top-k", "0"), "2 of 2: train_loss 2"),
    ],
)
def test_the_epoch_that_is_kept_is_named(
    ptycho, scan_file, tmp_path, backend_that, history, words, expected
):
    backend_that(history=history)
    done = ptycho("train", scan_file, "-o", tmp_path / "m", *words)
    assert done.out.endswith(f", kept epoch {expected}\n"), done.err
    metrics = json.loads((tmp_path / "m" / "metrics.json").read_text())
    assert metrics["kept_epoch"] == int(expected[0])


def test_several_scans_are_trained_on_together(ptycho, scan_file, edited, tmp_path, stand_in):
    other = edited("other.npz", probeGuess=np.ones((64, 64), np.complex64))
    args = ["-o", tmp_path / "m", "--n-groups", "8"]
    done = ptycho("train", scan_file, other, *args)
    assert done.code == 0, done.err
    assert f"training on 2 scans: {scan_file}, {other}" in done.err
    scans = stand_in.trainings[-1]["scans"]
    assert [scan.source.name for scan in scans] == ["scan.npz", "other.npz"]
    assert (scans[1].probe == 1).all()
    run = json.loads((tmp_path / "m" / "run.json").read_text())
    assert run["inputs"]["train_data_file"]["name"] == "scan.npz"
    assert run["inputs"]["train_data_file_2"]["name"] == "other.npz"


def test_scans_of_two_sizes_are_refused(ptycho, scan_file, tmp_path, stand_in):
    del stand_in
    args = ["--N", "128", "--size", "150", "--n-patterns", "4"]
    assert ptycho("simulate", "-o", tmp_path / "big.npz", *args).code == 0
    done = ptycho("train", scan_file, tmp_path / "big.npz", "-o", tmp_path / "m")
    assert done.fails_with("big.npz has patterns of 128 x 128")


def test_an_interrupted_training_leaves_its_records(ptycho, scan_file, tmp_path, backend_that):
    backend_that(interrupted=True)
    done = ptycho("train", scan_file, "-o", tmp_path / "m")
    assert done.code == 130
    assert "interrupted after 2 epochs" in done.err
    assert json.loads((tmp_path / "m" / "metrics.json").read_text())["epochs"] == 2
    assert json.loads((tmp_path / "m" / "run.json").read_text())["command"] == "train"


def test_early_stopping_is_told(ptycho, scan_file, tmp_path, backend_that):
    backend_that(early=True, finished=True)
    args = ["train", scan_file, "-o", tmp_path / "m"]
    assert ptycho(*args).out.rstrip().endswith("kept epoch 2 of 2: val_loss 1.5, early stopping")
    metrics = json.loads((tmp_path / "m" / "metrics.json").read_text())
    assert (metrics["stopped"], metrics["kept_epoch"]) == ("plateau", 2)
    assert json.loads((tmp_path / "m" / "run.json").read_text())["stopped"] == "plateau"
    assert "ended before by early stopping" in ptycho(*args, "--resume").out


def test_nothing_left_to_resume_leaves_the_records_alone(ptycho, scan_file, tmp_path, backend_that):
    backend_that(finished=True)
    args = ["train", scan_file, "-o", tmp_path / "m"]
    assert ptycho(*args).code == 0
    before = (tmp_path / "m" / "run.json").read_bytes()
    done = ptycho(*args, "--resume")
    assert done.code == 0
    assert "all epochs already done" in done.out
    assert (tmp_path / "m" / "run.json").read_bytes() == before


def test_settings_that_cannot_work_are_wrong_usage(ptycho, scan_file, tmp_path, stand_in):
    del stand_in
    done = ptycho("train", scan_file, "-o", tmp_path / "m", "--architecture", "resnet")
    assert done.code == 2
    assert done.err.splitlines()[0].startswith("error: architecture must be one of cnn, unrolled")
    assert not (tmp_path / "m").exists()


def test_other_processes_of_one_training_are_silent(ptycho, scan_file, tmp_path, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "1")
    done = ptycho("train", scan_file, "-o", tmp_path / "m", "--architecture", "none-such")
    assert "settings from" not in done.err


def test_a_training_starts_from_a_model(ptycho, scan_file, tmp_path, stand_in):
    first = ptycho("train", scan_file, "-o", tmp_path / "m", "--joint-stages")
    assert first.code == 0, first.err
    done = ptycho("train", scan_file, "-o", tmp_path / "t", "--from", tmp_path / "m")
    assert done.code == 0, done.err
    call = stand_in.trainings[-1]
    assert call["start_name"] == "m"
    assert (call["config"].nepochs, call["config"].model.joint_stages) == (5, True)
    assert call["execution"].learning_rate == 5e-4
    wider = ["--from", tmp_path / "m", "--n-filters-scale", "3"]
    refused = ptycho("train", scan_file, "-o", tmp_path / "w", *wider)
    assert refused.code == 2
    assert refused.fails_with("n_filters_scale must be 2, that of the model to start from, got 3")
    assert not (tmp_path / "w").exists()
    inside = ptycho("train", scan_file, "-o", tmp_path / "m", "--overwrite", *wider[:2])
    assert inside.code == 2
    shown = ptycho("bundle", "show", tmp_path / "t").out
    sha = load_bundle(tmp_path / "m").identity["weights_sha256"]
    assert re.search(f"started from +m, weights {sha[:12]}", shown)
