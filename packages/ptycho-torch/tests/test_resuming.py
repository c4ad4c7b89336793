"""What a training finds and leaves: outputs of before, checkpoints, leftovers."""

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from attrs import evolve
from ptycho_core.results import TrainingInterrupted
from ptycho_data import load_bundle, save_scan
from ptycho_torch import training as training_module
from ptycho_torch.module import PtychoModule


def weights(result):
    return load_bundle(result.bundle_path).weights


def same(first, second):
    return all(np.array_equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    ("name", "options"),
    [pytest.param("SIGINT", False, marks=pytest.mark.slow), ("SIGTERM", True)],
)
def test_resuming_gives_the_identical_end_result(
    train, scan, training, execution, tmp_path, name, options
):
    config = training(
        {"joint_stages": options},
        nepochs=4,
        n_groups=24,
        average_weights=options,
    )
    whole = train(scan, config, execution(), output="whole")
    script = textwrap.dedent("""
        import signal, sys
        from pathlib import Path
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
        scan, out = load_scan(sys.argv[1]), Path(sys.argv[2])
        options = sys.argv[4] == "True"
        config = TrainingConfig(
            model=ModelConfig(
                architecture="unrolled", n_filters_scale=1, joint_stages=options
            ),
            backend="pytorch", nepochs=4, batch_size=8, n_groups=24,
            average_weights=options,
        )
        class Kill(callbacks.LossHistory):
            def on_train_batch_start(self, trainer, module, batch, index):
                if trainer.current_epoch == 2 and index == 1:  # in the middle of the third epoch
                    signal.raise_signal(getattr(signal, sys.argv[3]))
        import ptycho_torch.fitting as fitting
        fitting.LossHistory = Kill
        execution = PyTorchExecutionConfig(learning_rate=2e-3, logger_backend="none")
        try:
            train(scan, config, execution, output=out)
        except KeyboardInterrupt:
            sys.exit(130)
    """)
    path = tmp_path / "scan.npz"
    save_scan(path, scan)
    out = tmp_path / name
    stopped = [sys.executable, "-c", script, str(path), str(out), name, str(options)]
    assert subprocess.run(stopped, check=False).returncode == 130  # noqa: S603 - our own program
    best = load_bundle(out)  # valid, of the best of the two epochs that ended
    assert len(best.history["train_loss"]) == 2
    resumed = train(scan, config, execution(), output=out, resume=True)
    assert same(weights(resumed), weights(whole))
    assert load_bundle(out).history["train_loss"] == whole.history["train_loss"]


def test_leftovers_of_a_killed_run_do_not_stop_the_next(train, scan, training, execution):
    config = training(nepochs=1, n_groups=8)
    train(scan, config, execution())
    left = train.folder / "checkpoints.old"
    left.mkdir()
    (left / "last.ckpt").write_bytes(b"of a run before that")
    train(scan, config, execution(), overwrite=True)
    assert not left.exists()


def interrupted_in_epoch(number, monkeypatch):
    def interrupt(module, _batch, index):
        if module.current_epoch == number and index == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(PtychoModule, "on_train_batch_start", interrupt)


def test_an_interrupt_in_the_first_epoch_leaves_what_was_there(
    train, scan, training, execution, monkeypatch
):
    config = training(nepochs=1, n_groups=24)
    train(scan, config, execution())
    before = {p.name: p.read_bytes() for p in (train.folder / "checkpoints").iterdir()}
    interrupted_in_epoch(0, monkeypatch)
    with pytest.raises(KeyboardInterrupt, match="nothing was saved"):
        train(scan, config, execution(), overwrite=True)
    after = {p.name: p.read_bytes() for p in (train.folder / "checkpoints").iterdir()}
    assert after == before


def test_without_checkpoints_an_interrupt_keeps_the_mean_of_the_weights(
    train, scan, training, execution, monkeypatch
):
    settings = execution(enable_checkpointing=False)
    found = {}
    interrupted_in_epoch(1, monkeypatch)
    for average in (False, True):
        config = training(nepochs=3, n_groups=24, average_weights=average)
        with pytest.raises(
            TrainingInterrupted, match="it cannot be resumed without checkpoints"
        ) as stop:
            train(scan, config, settings, output=str(average))
        found[average] = weights(stop.value.result)
    assert not same(found[False], found[True])


def test_only_the_first_of_processes_started_together_moves_the_folder(
    train, scan, training, execution, monkeypatch
):
    config = training(nepochs=1, n_groups=8)
    train(scan, config, execution())
    monkeypatch.setattr(training_module, "is_first_process", lambda _: False)
    monkeypatch.setattr(training_module, "fit", lambda *_: 1 / 0)
    folder = train.folder / "checkpoints"
    before = {p.name: p.stat().st_ino for p in folder.iterdir()}
    monkeypatch.setattr(Path, "replace", lambda *_: pytest.fail("moved"))
    with pytest.raises(ZeroDivisionError):
        train(scan, config, execution(), overwrite=True)
    assert {p.name: p.stat().st_ino for p in folder.iterdir()} == before


def test_a_folder_that_was_moved_is_resumed_with_its_best_epoch(
    train, scan, training, execution, tmp_path
):
    settings = execution(checkpoint_mode="max")  # the first epoch is then the best, and stays it
    first = training(nepochs=2, n_groups=24)
    train(scan, first, settings, output="before")
    (tmp_path / "before").rename(tmp_path / "after")
    after = evolve(first, nepochs=4)
    result = train(scan, after, settings, output="after", resume=True)
    losses = result.history["train_loss"]
    assert losses[0] == max(losses)
    names = {path.name for path in (tmp_path / "after" / "checkpoints").iterdir()}
    assert names == {"best-epoch=001.ckpt", "last.ckpt"}
    assert not (tmp_path / "before").exists()
