import json
import shutil

import pytest
from ptycho_config import Layer
from ptycho_core.batch import OtherResultError, is_done
from ptycho_core.exit_codes import EXISTS, code_of
from ptycho_core.models import OpenedModel
from ptycho_core.reconstruction.run import ReconstructionRun
from ptycho_core.reconstruction.work import Extras
from ptycho_core.solving.call import SolverRun
from ptycho_core.testing import FakeBackend, registered, simulated_scan
from ptycho_core.training.call import train
from ptycho_data import MANIFEST, PICTURE_FILES, ResultSetError, file_sha256, save_scan


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two scans and a model."""
    folder = tmp_path_factory.mktemp("data")
    for seed in (1, 2):
        save_scan(folder / f"{seed}.npz", simulated_scan(12, seed=seed))
    with registered(FakeBackend(name="fake")):
        train(folder / "1.npz", output=folder / "model", backend="fake", progress=False)
        yield folder


def solver(data, output, scan="1.npz", **more):
    settings = {"epochs": 1, "modes": None, "update_probe": False, **more.pop("settings", {})}
    return SolverRun(scan=data / scan, output=output, settings=settings, pictures=False, **more)


def network(data, output, model=None, layers=(), **more):
    given = Layer("command line", {"test_data_file": data / "1.npz", "output_dir": output})
    return ReconstructionRun(
        layers=[given, *layers], model=model or data / "model", scan=data / "1.npz",
        output=output, pictures=False, **more,
    )  # fmt: skip


@pytest.fixture(scope="module")
def results(data):
    """A result of each kind of run."""
    solver(data, data / "solved").run()
    network(data, data / "inferred").run()
    return data


def test_a_result_is_done_for_its_own_request_alone(results):
    folder = results / "solved"
    assert is_done(folder, solver(results, folder).request())
    assert not is_done(results / "none", solver(results, results / "none").request())
    for other, word in (
        (solver(results, folder, "2.npz"), "another scan"),
        (solver(results, folder, settings={"epochs": 2}), "epochs 1, not 2"),
        (solver(results, folder, half_scan_frc=True), "half_scan_frc unset, not True"),
        (solver(results, folder, reading={"probe_file": results / "2.npz"}), "another probe"),
        (network(results, folder), "a result of 'reconstruct'"),
    ):
        with pytest.raises(OtherResultError, match=word) as caught:
            is_done(folder, other.request())
        assert code_of(caught.value) == EXISTS


def test_what_only_says_how_it_is_computed_makes_no_other_result(results):
    folder = results / "inferred"
    fast = Layer("config file", {"num_workers": 2, "inference_batch_size": 4})
    opened = OpenedModel.read(results / "model")
    for run in (network(results, folder, layers=[fast]), network(results, folder, opened)):
        assert is_done(folder, run.request())
    for other, word in (
        (network(results, folder, layers=[Layer("command line", {"n_groups": 5})]), "n_groups"),
        (network(results, folder, extras=Extras(refine=3)), "refine unset, not 3"),
        (network(results, folder, scan_index=0), "scan_index unset, not 0"),
    ):
        with pytest.raises(OtherResultError, match=word):
            is_done(folder, other.request())


def test_a_model_that_was_trained_again_is_another_one(results, tmp_path):
    folder = results / "inferred"
    backend = FakeBackend(name="fake", history={"train_loss": [1.0], "val_loss": [2.0]})
    with registered(backend):
        train(results / "1.npz", output=tmp_path / "m", backend="fake", progress=False)
    with pytest.raises(OtherResultError, match="another model"):
        is_done(folder, network(results, folder, tmp_path / "m").request())


def test_damaged_results_are_not_done(results, tmp_path):
    shutil.copytree(results / "solved", tmp_path / "r")
    (tmp_path / "r" / "metrics.json").write_text("{}")
    with pytest.raises(ResultSetError):
        is_done(tmp_path / "r", solver(results, tmp_path / "r").request())


@pytest.mark.parametrize("record", [None, b"{", b"[]", b"{}", b'{"command": "reconstruct"}'])
def test_results_that_do_not_tell_are_not_taken_for_done(results, tmp_path, record):
    (tmp_path / "r").mkdir()
    # the file alone needs no manifest
    shutil.copy(results / "solved" / "reconstruction.npz", tmp_path / "r")
    if record is not None:
        (tmp_path / "r" / "run.json").write_bytes(record)
        names = ("reconstruction.npz", "run.json")
        lines = [f"{file_sha256(tmp_path / 'r' / name)}  {name}\n" for name in names]
        (tmp_path / "r" / MANIFEST).write_text("".join(lines))
    with pytest.raises(OtherResultError, match="does not record what was asked"):
        is_done(tmp_path / "r", solver(results, tmp_path / "r").request())


def test_pictures_can_be_left_out(results):
    for folder in ("solved", "inferred"):
        assert not any((results / folder / name).exists() for name in PICTURE_FILES)
        asked = json.loads((results / folder / "run.json").read_bytes())["asked"]
        assert "pictures" not in asked
