"""Training in several processes, and in a thread."""

import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest
from ptycho_data import load_bundle, save_scan


@pytest.mark.parametrize("joint", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_two_processes_train_like_one(train, scan, training, execution, tmp_path, joint):
    script = textwrap.dedent("""
        import sys
        from pathlib import Path
        import torch
        from ptycho_config import ModelConfig, PyTorchExecutionConfig, TrainingConfig
        from ptycho_core.tracking import choice
        from ptycho_data import load_scan
        from ptycho_torch.training import train

        class Counted(choice.LossesTable):
            def epoch(self, epochs):
                with open(sys.argv[2] + ".txt", "a") as file:
                    file.write("epoch ")
                super().epoch(epochs)

        choice.LossesTable = Counted
        torch.set_num_threads(1)
        scan, out, joint = load_scan(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "True"
        config = TrainingConfig(
            model=ModelConfig(architecture="unrolled", n_filters_scale=1, joint_stages=joint),
            backend="pytorch", nepochs=1, batch_size=8, n_groups=32,
        )
        execution = PyTorchExecutionConfig(
            learning_rate=1e-3, logger_backend="csv", devices=2, strategy="ddp"
        )
        train(scan, config, execution, output=out)
    """)
    path, program = tmp_path / "scan.npz", tmp_path / "program.py"
    save_scan(path, scan)
    program.write_text(script)  # Lightning starts the second process from the file
    # two batches a step: side by side, or one after the other
    command = [sys.executable, str(program), str(path), str(tmp_path / "two"), str(joint)]
    subprocess.run(command, check=True, timeout=120)  # noqa: S603 - our own
    config = training({"joint_stages": joint}, nepochs=1, n_groups=32)
    train(scan, config, execution(learning_rate=1e-3, accum_steps=2), output="one")
    one, two = (load_bundle(tmp_path / name).weights for name in ("one", "two"))
    for name in one:
        np.testing.assert_allclose(two[name], one[name], atol=2e-4, err_msg=name)
    assert (tmp_path / "two.txt").read_text() == "epoch "  # one process tracks
    assert (tmp_path / "two" / "logs" / "metrics.csv").is_file()


def test_training_works_in_a_thread(train, scan, training, execution):
    config = training(nepochs=1, n_groups=8)
    thread = threading.Thread(target=train, args=(scan, config, execution()))
    thread.start()
    thread.join()
    assert load_bundle(train.folder).history["train_loss"]
