import csv
import importlib.util

import pytest
from ptycho_config import InvalidValueError
from ptycho_tf.loggers import make_logger


def test_csv_has_a_line_for_each_epoch(tmp_path):
    logger = make_logger("csv", tmp_path)
    for epoch in range(2):
        logger.write(epoch, {"train_loss": 0.5 / (epoch + 1), "learning_rate": 1e-3})
    with (tmp_path / "logs" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1"]
    assert [float(row["train_loss"]) for row in rows] == [0.5, 0.25]


def test_a_resumed_training_writes_beside(tmp_path):
    make_logger("csv", tmp_path).write(0, {"train_loss": 1.0})
    make_logger("csv", tmp_path, resume=True).write(1, {"train_loss": 0.5})
    assert (tmp_path / "logs" / "metrics.csv").is_file()
    assert (tmp_path / "logs" / "resumed-1" / "metrics.csv").is_file()


@pytest.mark.parametrize("name", ["tensorboard", "mlflow"])
def test_a_missing_logger_is_named_with_the_pip_command(tmp_path, name, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        "ptycho_config.loggers.find_spec",
        lambda package: None if package == name else found(package),
    )
    with pytest.raises(RuntimeError, match=f"pip install {name}"):
        make_logger(name, tmp_path)


def test_an_unknown_logger_is_refused(tmp_path):
    with pytest.raises(InvalidValueError) as refused:
        make_logger("paper", tmp_path)
    assert (refused.value.name, refused.value.got) == ("logger_backend", "'paper'")
