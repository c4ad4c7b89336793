"""A whole stream, from real sockets and files to results; the network is the iterative solver."""

import shutil
import threading

import h5py
import numpy as np
import pytest
from ptycho_config import Layer, TrainingConfig, to_dict
from ptycho_config.errors import InvalidValueError
from ptycho_core.preparing.recipe import Recipe
from ptycho_core.streaming import SCAN_FILE, SO_FAR_FILE, Rules, StreamAddress, StreamRun
from ptycho_core.streaming.spool import SPOOL_FOLDER
from ptycho_core.testing import FakeBackend, FakeLive, registered, simulated_scan
from ptycho_core.testing.live_page import RecordingPage
from ptycho_data import Bundle, OutputExistsError, load_reconstruction, load_scan
from ptycho_data.streams.replay._course import Course, Faults, send
from ptycho_data.streams.replay._senders import DectrisSender

PATTERNS = 90


@pytest.fixture(scope="module")
def scan():
    return simulated_scan(PATTERNS)


@pytest.fixture
def backend():
    with registered(FakeBackend(name="fake")) as backend:
        yield backend


@pytest.fixture
def stream(scan, backend, tmp_path):
    """Return a function that prepares a run."""
    bundle = Bundle(
        config=to_dict(TrainingConfig()),
        overrides_applied={},
        scaling={},
        probe=scan.probe,
        weights={"layer.weight": np.ones((2, 3), np.float32)},
        history={"train_loss": [1.0]},
        backend=backend.name,
        versions={},
    )

    def prepared(address, **more):
        settings = {"rules": Rules(patience=60.0), "pictures": False, "report": False, **more}
        run = StreamRun(
            layers=[Layer("override", {"backend": "fake"})],
            model=bundle,
            address=address,
            output=tmp_path / "out",
            **settings,
        )
        run.check()
        return run

    return prepared


def sent(scan, faults, rate=3000.0, *, panda=False):
    """Send a scan from a thread; returns the address to receive at, and the order of frames."""
    sender = DectrisSender(scan, scan.n, "", panda=panda)
    course = Course(scan=scan, first=0, stop=scan.n, rate=rate, faults=faults)
    address = StreamAddress(**{k: sender.addresses()[k] for k in ("source", "positions")})

    def run():
        sender.prepare()
        sender.begin()
        send(course, sender)
        sender.close()

    thread = threading.Thread(target=run)
    thread.start()
    return address, course.order(), thread


def same_patterns(found, scan, numbers):
    """Whether a scan has the patterns of some numbers of another, each at its own position."""
    np.testing.assert_array_equal(found.diffraction[:], scan.diffraction[numbers])
    np.testing.assert_allclose(found.positions, scan.positions[numbers], atol=1e-9)


@pytest.mark.parametrize(
    "faults",
    [
        Faults(),
        Faults(disordered=0.2, doubled=0.1, lost=0.1, seed=3),
        Faults(late=0.5),
    ],
    ids=["none", "disordered, doubled and lost", "late positions"],
)
def test_what_is_sent_is_reconstructed_and_nothing_is_mixed_up(stream, scan, faults):
    address, order, thread = sent(scan, faults)
    result = stream(address).run()
    thread.join()
    numbers, told = sorted(set(order)), result.report
    assert told.patterns == len(numbers)
    assert told.missing == scan.n - len(numbers)
    assert told.without_frame == scan.n - len(numbers)
    assert told.without_position == 0
    assert told.counts.get("doubled_frames", 0) == len(order) - len(numbers)
    assert (told.counts.get("out_of_order", 0) > 0) == (faults.disordered > 0)
    assert told.longest_wait_s >= 0.4 * (faults.late > 0)
    same_patterns(load_scan(result.path / SCAN_FILE), scan, numbers)
    saved = load_reconstruction(result.path)
    assert sorted(saved.indices.tolist()) == list(range(len(numbers)))
    np.testing.assert_allclose(
        saved.positions + saved.origin, scan.positions[numbers][saved.indices], atol=1e-9
    )
    assert result.metrics["r_over_noise"] < 3
    assert not (result.path / SPOOL_FOLDER).exists()
    assert not (result.path / SO_FAR_FILE).exists()


def test_the_page_sees_the_whole_object_in_the_end_and_how_it_fits(stream, scan):
    address, _, thread = sent(scan, Faults())
    page = RecordingPage()
    run = stream(address)
    run.page = page
    run.run()
    thread.join()
    (begun,) = page.of("begin")
    assert begun["scan"] == "out"
    assert len(page.snapshots[-1].reconstruction.indices) == scan.n
    assert page.of("point")[-1]["r_over_noise"] < 3


def test_a_stream_that_waits_says_for_what(stream, scan, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("ptycho_core.streaming.run._TELL_S", 0.2)
    with h5py.File(tmp_path / "run.h5", "w") as file:
        file["frames"] = scan.diffraction
    address = StreamAddress(source=f"hdf5:{tmp_path / 'run.h5'}", positions="table:nowhere.txt")
    run = stream(address, recipe=Recipe(patterns="frames"), rules=Rules(patience=1.0))
    with caplog.at_level("INFO"), pytest.raises(InvalidValueError):
        run.run()
    assert f"waiting for the first patterns: {scan.n} frames and 0 positions" in caplog.text


def test_positions_of_a_panda_are_joined_by_the_count_of_its_samples(stream, scan):
    faults = Faults(disordered=0.2, lost=0.1, late=0.2, seed=3)
    address, order, thread = sent(scan, faults, panda=True)
    assert address.kinds == {"frames": "dectris", "positions": "panda"}
    result = stream(address).run()
    thread.join()
    assert result.report.patterns == len(order) < scan.n
    assert result.report.without_frame == scan.n - len(order)
    same_patterns(load_scan(result.path / SCAN_FILE), scan, sorted(order))


def test_a_file_that_is_complete_is_a_stream_too(stream, scan, tmp_path):
    with h5py.File(tmp_path / "run.h5", "w") as file:
        file["frames"], file["x"], file["y"] = scan.diffraction, *scan.positions.T
    recipe = Recipe(patterns="frames", x="x", y="y", unit="pixel")
    run = stream(StreamAddress(source=f"hdf5:{tmp_path / 'run.h5'}"), recipe=recipe, queue=64)
    result = run.run()
    assert result.report.patterns == scan.n
    assert result.report.put_off == 0  # a file waits
    same_patterns(load_scan(result.path / SCAN_FILE), scan, np.arange(scan.n))


class CrashError(Exception):
    """Something that nobody expects."""


def test_after_a_crash_a_stream_goes_on_from_what_had_come(stream, scan, monkeypatch):
    add = FakeLive.add

    def crash(self, patterns, positions):
        if self.count >= 64:
            raise CrashError
        add(self, patterns, positions)

    address, _, thread = sent(scan, Faults(), rate=500.0)
    monkeypatch.setattr(FakeLive, "add", crash)
    run = stream(address, rules=Rules(patience=5.0))
    with pytest.raises(CrashError):
        run.run()
    monkeypatch.undo()
    thread.join()
    folder = stream(None, resume=True).output
    assert len(load_reconstruction(folder / SO_FAR_FILE).indices) == 64
    with pytest.raises(OutputExistsError):
        stream(address)
    kept = folder.with_name("kept")
    shutil.copytree(folder, kept)
    result = stream(None, resume=True).run()
    come = load_scan(result.path / SCAN_FILE)
    assert 64 < come.n <= scan.n
    same_patterns(come, scan, np.arange(come.n))
    # from the source again: what had come is not called doubled, and the rest is added
    shutil.rmtree(folder)
    shutil.copytree(kept, folder)
    address, _, thread = sent(scan, Faults())
    result = stream(address, resume=True).run()
    thread.join()
    assert result.report.patterns == scan.n
    assert result.report.counts.get("doubled_frames", 0) == 0
    same_patterns(load_scan(result.path / SCAN_FILE), scan, np.arange(scan.n))


def test_a_pattern_that_is_none_is_left_out_and_named(stream, scan, caplog):
    refused = {17, 40}
    add = FakeLive.add

    def picky(self, patterns, positions):
        for place in np.asarray(positions):
            if any(np.allclose(place, scan.positions[k]) for k in refused):
                raise InvalidValueError("positions", "on the canvas", "one far away")
        add(self, patterns, positions)

    address, _, thread = sent(scan, Faults())
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(FakeLive, "add", picky)
        result = stream(address).run()
    thread.join()
    assert result.report.refused == 2
    assert result.report.patterns == scan.n - 2
    assert "17" in caplog.text


def test_a_stream_of_nothing_ends_in_one_line(stream, tmp_path):
    run = stream(
        StreamAddress(source=f"folder:{tmp_path / 'none'}", positions=f"table:{tmp_path / 'no'}"),
        rules=Rules(idle=0.2),
    )
    with pytest.raises(InvalidValueError) as caught:
        run.run()
    assert caught.value.name == "a stream"
    assert not (run.output / SPOOL_FOLDER).exists()


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ({"source": "zmq:tcp://127.0.0.1:1"}, "--source"),
        ({"source": "nothing:here"}, "--source"),
        ({"source": "folder:x"}, "--positions"),
        ({"source": "folder:x", "positions": "dectris:tcp://127.0.0.1:1"}, "--positions"),
    ],
)
def test_addresses_that_cannot_work_are_refused(address, name):
    with pytest.raises(InvalidValueError) as caught:
        StreamAddress(**address).open(Recipe())
    assert caught.value.name == name


def test_results_are_not_replaced_unasked(stream, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / SCAN_FILE).touch()
    with pytest.raises(OutputExistsError):
        stream(StreamAddress(source="folder:x", positions="table:y"))
    with pytest.raises(InvalidValueError):
        stream(None, resume=True)
