"""Watched folders: which scans are complete, and that each is done once."""

import errno
import json
import os

import h5py
import numpy as np
import pytest
from attrs import define
from ptycho_config.errors import InvalidValueError, MissingFileError
from ptycho_core.batch import Finished
from ptycho_core.exit_codes import BELOW_QUALITY, FAILED, OK, BelowQualityError
from ptycho_core.record import RUN_FILE
from ptycho_core.testing import reconstruction_at
from ptycho_core.watching import (
    ANY_SCAN,
    LEDGER_FILE,
    Arrivals,
    FilePattern,
    LedgerError,
    Watch,
    read_ledger,
)
from ptycho_data import FolderInUseError, NoSpaceError, folder_lock, write_json, write_results

REC = reconstruction_at(np.ones((40, 40), complex), np.array([[20.0, 20.0], [22.0, 20.0]]))


@define
class Clock:
    now: float = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


def arrivals(folder, clock, *patterns, settle=10, patience=60, **more):
    named = tuple(FilePattern(text) for text in patterns or (ANY_SCAN,))
    return Arrivals(
        folder=folder, patterns=named, settle=settle, patience=patience, clock=clock, **more
    )


def names(look):
    return [arrival.name for arrival in look.ready]


def settled(watched, clock):
    watched.look({})
    clock.now += 10
    return watched.look({})


# arrivals


def test_a_scan_is_ready_once_its_file_has_not_changed_for_a_time(folder, clock):
    watched = arrivals(folder, clock)
    np.savez(folder / "scan_10.npz", a=1)
    np.savez(folder / "scan_9.npz", a=1)
    assert watched.look({}).soon
    clock.now = 9
    assert not names(watched.look({}))
    clock.now = 10
    assert names(watched.look({})) == ["scan_9", "scan_10"]


def test_a_change_starts_the_time_again(folder, clock):
    watched = arrivals(folder, clock)
    np.savez(folder / "scan.npz", a=1)
    watched.look({})
    clock.now = 9
    np.savez(folder / "scan.npz", a=np.ones(9))
    look = watched.look({})
    assert look.changed
    assert not look.soon
    clock.now = 18
    assert not names(watched.look({}))
    clock.now = 19
    assert names(watched.look({})) == ["scan"]


@pytest.mark.parametrize(
    "name",
    [".scan.npz.Ab12Cd", "scan.npz.part", "scan.npz.tmp", "notes.txt", "scan_data_000001.h5"],
)
def test_unfinished_copies_and_other_files_are_no_scans(folder, clock, name):
    np.savez(folder / "other.npz", a=1)
    (folder / "other.npz").rename(folder / name)
    look = settled(arrivals(folder, clock), clock)
    assert not look.ready
    assert not look.waiting


def test_what_is_no_regular_file_is_skipped(folder, clock):
    os.mkfifo(folder / "scan.h5")
    (folder / "lost.h5").symlink_to(folder / "nowhere")
    assert not settled(arrivals(folder, clock), clock).ready


def test_a_half_copied_file_is_waited_for_then_tried(folder, clock):
    np.savez(folder / "whole.npz", a=np.ones(100))
    data = (folder / "whole.npz").read_bytes()
    (folder / "whole.npz").unlink()
    (folder / "scan.npz").write_bytes(data[:400])
    watched = arrivals(folder, clock)
    assert "does not open" in settled(watched, clock).waiting["scan"]
    clock.now = 60
    assert names(watched.look({})) == ["scan"]
    (folder / "scan.npz").write_bytes(data)
    assert not watched.look({}).ready
    clock.now = 70
    assert names(watched.look({})) == ["scan"]


@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_a_file_that_its_writer_holds_is_waited_for(folder, clock, libver):
    watched = arrivals(folder, clock)
    with h5py.File(folder / "scan.h5", "w", libver=libver) as file:
        file["a"] = np.ones(3)
        file.flush()
        look = settled(watched, clock)
        assert "open in its writer" in look.waiting["scan"]
        clock.now = 1000
        assert not watched.look({}).ready
    clock.now += 1
    watched.look({})
    clock.now += 10
    assert names(watched.look({})) == ["scan"]


def master(folder, *linked):
    with h5py.File(folder / "s_master.h5", "w") as file:
        for number, name in enumerate(linked):
            file[f"entry/data/data_{number}"] = h5py.ExternalLink(name, "/entry/data/data")


def frames(path):
    with h5py.File(path, "w") as file:
        file["entry/data/data"] = np.ones((2, 4, 4))


def test_files_that_a_master_links_to_belong_to_it(folder, clock):
    master(folder, "part_1.h5", "part_2.h5")
    frames(folder / "part_1.h5")
    watched = arrivals(folder, clock, "{scan}.h5")
    watched.look({})
    clock.now = 10
    watched.look({})
    clock.now = 20
    assert "part_2.h5" in watched.look({}).waiting["s_master"]
    frames(folder / "part_2.h5")
    assert not names(watched.look({}))
    clock.now = 30
    look = watched.look({})
    assert names(look) == ["s_master"]
    assert set(look.ready[0].stamps) == {"s_master.h5", "part_1.h5", "part_2.h5"}
    assert not watched.look({"s_master": look.ready[0].stamps}).ready


def test_virtual_datasets_link_too(folder, clock):
    layout = h5py.VirtualLayout(shape=(2, 4, 4), dtype="f8")
    layout[:] = h5py.VirtualSource("late.h5", "entry/data/data", shape=(2, 4, 4))
    with h5py.File(folder / "scan.h5", "w") as file:
        file.create_virtual_dataset("data", layout)
    watched = arrivals(folder, clock, patience=15)
    settled(watched, clock)
    clock.now = 20
    assert "late.h5" in watched.look({}).waiting["scan"]
    clock.now = 25
    tried = watched.look({}).ready[0]
    assert not watched.look({"scan": tried.stamps}).ready
    frames(folder / "late.h5")
    again = watched.look({"scan": tried.stamps})
    assert "scan" in again.waiting


def test_a_scan_of_several_files_needs_all_kinds(folder, clock):
    patterns = "{scan}/frames_*.h5", "{scan}/{scan}_pos.csv"
    watched = arrivals(folder, clock, *patterns)
    (folder / "s7").mkdir()
    for number in (10, 9):
        frames(folder / "s7" / f"frames_{number}.h5")
    assert "s7_pos.csv" in settled(watched, clock).waiting["s7"]
    (folder / "s7" / "s7_pos.csv").write_text("0,0\n")
    (arrival,) = settled(watched, clock).ready
    assert [path.name for path in arrival.files] == ["frames_9.h5", "frames_10.h5", "s7_pos.csv"]
    known = {"s7": arrival.stamps}
    assert len(known["s7"]) == 2  # one of all frames
    assert not watched.look(known).waiting
    frames(folder / "s7" / "frames_11.h5")
    assert "s7" in watched.look(known).waiting
    for number in (10, 11):  # removed after they were done
        (folder / "s7" / f"frames_{number}.h5").unlink()
    assert not watched.look(known).waiting
    (folder / "s7" / "frames_9.h5").write_bytes(b"new")  # and smaller
    assert "s7" in watched.look(known).waiting
    assert not watched.unchanged(arrival)


def test_two_files_of_one_name_are_told(folder, clock):
    frames(folder / "scan.h5")
    frames(folder / "scan.nxs")
    look = settled(arrivals(folder, clock), clock)
    assert not look.ready
    assert "scan.nxs" in look.waiting["scan"]


def test_a_trigger_is_waited_for(folder, clock):
    watched = arrivals(folder, clock, trigger=FilePattern("{scan}.done"))
    frames(folder / "scan.h5")
    assert "scan.done" in settled(watched, clock).waiting["scan"]
    (folder / "scan.done").touch()
    assert names(watched.look({})) == ["scan"]


def test_the_output_inside_is_not_looked_into(folder, clock):
    (folder / "results" / "scan").mkdir(parents=True)
    frames(folder / "results" / "scan" / "scan.h5")
    inside = folder / "results"
    assert names(settled(arrivals(folder, clock, "**/{scan}.h5"), clock)) == ["scan"]
    watched = arrivals(folder, clock, "**/{scan}.h5", skipped=inside.resolve())
    assert not settled(watched, clock).ready


@pytest.mark.parametrize("text", ["*.h5", "../{scan}.h5", "/{scan}.h5", "a//{scan}", ""])
def test_patterns_without_scan_or_out_of_the_folder_are_refused(text):
    with pytest.raises(InvalidValueError, match="pattern must be"):
        FilePattern(text)


@pytest.mark.parametrize(
    ("text", "name", "scan"),
    [
        ("{scan}.{h5,nxs}", "a.b.nxs", "a.b"),
        ("{scan}.{h5,nxs}", "a.csv", None),
        ("{scan}_*.h5", "scan_0042_1.h5", "scan_0042"),
        ("{scan}/{scan}_m.h5", "a/b_m.h5", None),
        ("**/{scan}.h5", "x/y/a.h5", "a"),
        ("{scan}.h5", "x/a.h5", None),
        ("{scan}?.h5", "a(+1.h5", "a(+"),
        ("m_{scan}.h5", "m_...h5", None),  # the folder of its results would be ".."
        ("m_{scan}.h5", "m_.a.h5", None),
    ],
)
def test_names_by_pattern(text, name, scan):
    assert FilePattern(text).scan_of(name) == scan


# the watch


@define
class Worker:
    """Writes a result; what it does, the file says."""

    done: list = None

    def __call__(self, job, attempt):
        self.done = [*(self.done or []), job.name]
        text = job.scan.read_bytes()
        if b"broken" in text:
            raise InvalidValueError("patterns", "whole", "broken ones")
        if b"defect" in text:
            raise ZeroDivisionError
        if b"full" in text:
            raise NoSpaceError(job.output, "the disk is full")
        if b"stop" in text:
            raise KeyboardInterrupt
        ratio = 2.0 if b"bad" in text else 1.0
        metrics = {"r_factor": 0.1, "r_over_noise": ratio}
        also = lambda place: write_json(place / "run.json", {"n": len(self.done)})  # noqa: E731
        write_results(
            job.output, REC, metrics=metrics, pictures=False, overwrite=attempt.replace, also=also
        )
        return Finished(metrics=metrics)


def put(folder, name, text="good"):
    (folder / f"{name}.cxi").write_text(text)


def judge(finished):
    if finished.metrics["r_over_noise"] > 1.5:
        raise BelowQualityError("R", "small", "large")


def watch(folder, worker, **more):
    return Watch(
        arrivals=arrivals(folder, Clock(), settle=0, patience=0),
        output=folder.parent / "out",
        work=worker,
        judge=judge,
        interval=0.01,
        **more,
    )


def states(folder):
    entries, _ = read_ledger(folder.parent / "out" / LEDGER_FILE)
    return {name: str(entry.state) for name, entry in entries.items()}


def test_each_scan_is_done_once_and_failures_stop_nothing(folder):
    for name, text in {"a": "broken", "b": "good", "c": "bad", "d": "defect", "e": "good"}.items():
        put(folder, name, text)
    worker, seen = Worker(), []
    assert watch(folder, worker, on_done=seen.append).run(once=True) == FAILED
    assert worker.done == ["a", "b", "c", "d", "e"]
    wanted = {"a": "failed", "b": "done", "c": "below quality", "d": "failed", "e": "done"}
    assert states(folder) == wanted
    assert [entry.scan for entry in seen] == worker.done
    assert seen[0].reason == "patterns must be whole, got broken ones"
    assert "internal error" in seen[3].reason
    worker.done = None
    assert watch(folder, worker).run(once=True) == OK
    assert not worker.done


def test_what_fails_is_tried_again_when_it_changes_or_is_asked_for(folder):
    put(folder, "a", "broken")
    worker = Worker()
    watch(folder, worker).run(once=True)
    assert watch(folder, worker, retry=True).run(once=True) == FAILED
    assert worker.done == ["a", "a"]
    put(folder, "a", "good after all")
    assert watch(folder, worker).run(once=True) == OK
    assert states(folder) == {"a": "done"}


def test_a_changed_scan_is_done_again_and_its_result_replaced(folder):
    put(folder, "a")
    worker = Worker()
    watch(folder, worker).run(once=True)
    put(folder, "a", "bad now")
    assert watch(folder, worker).run(once=True) == BELOW_QUALITY
    assert json.loads((folder.parent / "out/a/metrics.json").read_text())["r_over_noise"] == 2


def test_the_result_of_somebody_else_is_never_replaced(folder):
    put(folder, "a")
    write_results(folder.parent / "out" / "a", REC, metrics={"r_factor": 7}, pictures=False)
    worker = Worker()
    assert watch(folder, worker).run(once=True) == 3
    assert watch(folder, worker, retry=True).run(once=True) == 3
    assert not worker.done
    assert json.loads((folder.parent / "out/a/metrics.json").read_text())["r_factor"] == 7


def test_files_of_somebody_else_are_never_replaced(folder):
    put(folder, "a")
    theirs = folder.parent / "out" / "a" / "reconstruction.npz"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("theirs")
    for retry in (False, True):
        seen = []
        assert watch(folder, Worker(), retry=retry, on_done=seen.append).run(once=True) == 3
        assert seen[0].reason.endswith("got other files; move it away")
    assert theirs.read_text() == "theirs"


def test_a_scan_that_goes_while_it_is_read_ends_no_watch(folder):
    put(folder, "a")
    put(folder, "b")
    worker = Worker()

    def take_away(job, attempt):
        if job.name == "a":
            job.scan.unlink()
            raise MissingFileError(f"{job.scan}: no such file")
        return worker(job, attempt)

    assert watch(folder, take_away).run(once=True) == FAILED
    assert states(folder) == {"a": "failed", "b": "done"}


def test_a_missing_model_ends_the_watch(folder):
    put(folder, "a")

    def without_model(*_):
        raise MissingFileError("model: no such file")

    with pytest.raises(MissingFileError):
        watch(folder, without_model).run(once=True)
    assert states(folder) == {"a": "interrupted"}


def test_an_unrefined_result_that_was_written_when_the_process_died_has_failed(folder):
    put(folder, "a")

    def die(job, _):
        also = lambda place: write_json(place / RUN_FILE, {"refinement": {"failed": "x"}})  # noqa: E731
        write_results(job.output, REC, metrics={"r_factor": 0.1}, pictures=False, also=also)
        raise SystemExit

    with pytest.raises(SystemExit):
        watch(folder, die).run(once=True)
    assert watch(folder, Worker()).run(once=True) == FAILED
    assert states(folder) == {"a": "failed"}


def test_a_result_that_was_complete_when_the_process_died_is_not_made_again(folder):
    put(folder, "a")
    worker = Worker()
    watch(folder, worker).run(once=True)
    ledger = folder.parent / "out" / LEDGER_FILE
    first, _, _ = ledger.read_bytes().partition(b"\n")
    ledger.write_bytes(first + b'\n{"time": "2026-')  # killed in the middle of the second line
    assert watch(folder, worker).run(once=True) == OK
    assert worker.done == ["a"]
    assert states(folder) == {"a": "done"}


def test_a_result_that_was_interrupted_is_gone_on_with(folder):
    put(folder, "a")
    seen = []

    def note(_, attempt):
        seen.append((attempt.replace, attempt.resume))
        return Finished()

    def stop(job, attempt):
        note(job, attempt)
        metrics = {"r_factor": 0.1, "stopped": "interrupted"}
        write_results(job.output, REC, metrics=metrics, pictures=False, overwrite=attempt.replace)
        raise (KeyboardInterrupt if len(seen) == 1 else SystemExit)

    for error in (KeyboardInterrupt, SystemExit, SystemExit):
        with pytest.raises(error):
            watch(folder, stop).run(once=True)
    assert seen == [(False, False), (True, True), (True, True)]
    assert watch(folder, Worker()).run(once=True) == OK
    put(folder, "a", "another")
    watch(folder, note).run(once=True)
    assert seen[-1] == (True, False)


def test_a_scan_that_ends_the_process_again_and_again_is_given_up(folder):
    put(folder, "a")
    put(folder, "b")
    worker = Worker()

    def die(job, attempt):
        if job.name == "a":
            raise SystemExit  # passes like a kill
        return worker(job, attempt)

    for _ in range(5):
        with pytest.raises(SystemExit):
            watch(folder, die).run(once=True)
    assert watch(folder, die).run(once=True) == FAILED
    assert states(folder) == {"a": "failed", "b": "done"}


def test_a_full_disk_ends_the_watch_and_loses_nothing(folder):
    put(folder, "a", "full")
    put(folder, "b")
    with pytest.raises(NoSpaceError):
        watch(folder, Worker()).run(once=True)
    worker = Worker()
    (folder / "a.cxi").write_text("room again")
    assert watch(folder, worker).run(once=True) == OK
    assert worker.done == ["a", "b"]


def test_an_interruption_does_not_count_as_a_failure(folder):
    put(folder, "a", "stop")
    for _ in range(7):
        with pytest.raises(KeyboardInterrupt):
            watch(folder, Worker()).run(once=True)
    assert states(folder) == {"a": "interrupted"}


def test_two_watches_on_one_output_refuse_each_other(folder):
    out = folder.parent / "out"
    code = []
    import threading

    with folder_lock(out):
        thread = threading.Thread(target=lambda: code.append(refused(folder)))
        thread.start()
        thread.join()
    assert code == [True]


def refused(folder):
    try:
        watch(folder, Worker()).run(once=True)
    except FolderInUseError:
        return True
    return False


def test_a_watch_ends_when_nothing_has_happened(folder):
    put(folder, "a")
    assert watch(folder, Worker()).run(idle=0.05) == OK
    assert states(folder) == {"a": "done"}


def test_a_folder_that_is_gone_for_a_while_is_waited_for(folder):
    folder.rename(folder.parent / "elsewhere")
    assert watch(folder, Worker()).run(idle=0.05) == OK
    with pytest.raises(FileNotFoundError):
        watch(folder, Worker()).run(once=True)


def test_a_damaged_ledger_is_refused(folder):
    put(folder, "a")
    out = folder.parent / "out"
    out.mkdir()
    line = {"time": "", "scan": "a", "state": "done", "files": {}, "result": None, "attempt": 1}
    changes = (
        {"scan": "../a"},
        {"state": "best"},
        {"seconds": "1"},
        {"files": {"a": 1}},
        {"files": 0},
    )
    for text in ("{}\n", "[]\n", "no\n", "\xff\n", *(json.dumps(line | c) + "\n" for c in changes)):
        (out / LEDGER_FILE).write_text(text, "latin-1")
        with pytest.raises(LedgerError, match="line 1"):
            watch(folder, Worker()).run(once=True)
        assert (out / LEDGER_FILE).read_text("latin-1") == text


def test_a_last_line_without_its_end_counts_if_it_is_whole(folder):
    put(folder, "a")
    watch(folder, Worker()).run(once=True)
    ledger = folder.parent / "out" / LEDGER_FILE
    lines = ledger.read_bytes()
    ledger.write_bytes(lines.rstrip(b"\n"))
    put(folder, "b")
    worker = Worker()
    watch(folder, worker).run(once=True)
    assert worker.done == ["b"]
    assert ledger.read_bytes().startswith(lines)


def test_a_ledger_that_is_no_file_is_refused(folder):
    put(folder, "a")
    (folder.parent / "out").mkdir()
    os.mkfifo(folder.parent / "out" / LEDGER_FILE)
    with pytest.raises(InvalidValueError, match="FIFO"):
        watch(folder, Worker()).run(once=True)


def test_names_in_any_encoding_survive_the_ledger(folder):
    (folder / os.fsdecode(b"a\xff\n.cxi")).write_text("good")
    worker = Worker()
    watch(folder, worker).run(once=True)
    watch(folder, worker).run(once=True)
    assert len(worker.done) == 1


def test_a_ledger_on_a_full_disk_keeps_whole_lines(folder, monkeypatch):
    put(folder, "a")
    watch(folder, Worker()).run(once=True)
    ledger = folder.parent / "out" / LEDGER_FILE
    before = ledger.read_bytes()

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    put(folder, "b")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(NoSpaceError):
        watch(folder, Worker()).run(once=True)
    assert ledger.read_bytes() == before
