"""Runs on a real server of MLflow, with SQLite, that is gone in the middle."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest
from ptycho_config import InvalidValueError
from ptycho_core.tracking.base import without_password
from ptycho_core.tracking.choice import tracked

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # MLflow's, of the packages that it stands on
]
SETTINGS = {"nepochs": 3, "learning_rate": 1e-3}


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Start a server; it ends with the test, with all that it has started."""
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    pytest.importorskip("mlflow", reason="is the server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{tmp_path / 'server.db'}"]
    command += ["--artifacts-destination", str(tmp_path / "artifacts")]
    with (tmp_path / "server.log").open("w") as log:
        running = subprocess.Popen(  # noqa: S603 - our own command
            command, stdout=log, stderr=log, start_new_session=True
        )
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    try:
        while not answers(address):
            assert running.poll() is None, (tmp_path / "server.log").read_text()
            time.sleep(0.5)
        yield running
    finally:
        stop(running)


def answers(address):
    try:
        with urllib.request.urlopen(f"{address}/health", timeout=5) as reply:  # noqa: S310 - our own
            return reply.status == 200
    except OSError:
        return False


def stop(running):
    if running.poll() is None:
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()


def test_a_server_that_goes_is_one_warning(server, tmp_path, monkeypatch, caplog):
    import mlflow

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    output, file = tmp_path / "model", tmp_path / "wts.h5.zip"
    file.write_bytes(b"model")
    with tracked("mlflow", output, SETTINGS, resumed=False) as tracker:
        tracker.epoch([{"train_loss": 1.0}])
        tracker.results([file], {"object": b"picture"})
        client = mlflow.MlflowClient()
        (run,) = client.search_runs([client.get_experiment_by_name("ptycho").experiment_id])
        assert (run.info.run_name, run.data.metrics) == ("model", {"train_loss": 1.0})
        assert run.data.params == {name: str(value) for name, value in SETTINGS.items()}
        assert {f.path for f in client.list_artifacts(run.info.run_id)} == {
            "wts.h5.zip",
            "pictures",
        }
        stop(server)
        tracker.epoch([{"train_loss": 1.0}, {"train_loss": 0.5}])
        tracker.epoch([{"train_loss": 1.0}, {"train_loss": 0.5}, {"train_loss": 0.25}])
        tracker.close("epochs")
    (warning,) = [message for message in caplog.messages if "logger_backend" in message]
    assert "the training continues without it" in warning
    with (
        pytest.raises(InvalidValueError, match="MLFLOW_TRACKING_URI must be a server"),
        tracked("mlflow", output, SETTINGS, resumed=True),
    ):
        pass


def test_no_password_is_shown():
    told = without_password("no answer from https://me:secret@example.org/mlflow")
    assert told == "no answer from https://example.org/mlflow"
