"""Sources against real servers: what is sent comes, once and by its number."""

import json
import subprocess
import sys
import time

import cbor2
import numpy as np
import pytest
import zmq
from fabio.edfimage import EdfImage
from ptycho_config.errors import InvalidValueError
from ptycho_data.raw import Names
from ptycho_data.streams import (
    Begin,
    End,
    FramesCame,
    Incident,
    PositionsCame,
    RasterPositions,
    find_source,
    source_names,
    split_address,
)
from ptycho_data.streams._decode import MessageError
from ptycho_data.streams._zmq import positions_in

PATIENCE_S = 120.0


def received(source, until):
    """Read a source until something holds of all its events."""
    events = []
    limit = time.monotonic() + PATIENCE_S
    while not until(events):
        assert time.monotonic() < limit, f"only {events}"
        events += source.read(0.05)
    return events


def frames_of(events):
    """Return numbers and frames of all events."""
    came = [one for one in events if isinstance(one, FramesCame)]
    if not came:
        return np.array([], int), np.zeros((0, 0, 0))
    return np.concatenate([one.numbers for one in came]), np.concatenate(
        [one.frames for one in came]
    )


def number_of_frames(events):
    return len(frames_of(events)[0])


def positions_of(events):
    came = [one for one in events if isinstance(one, PositionsCame)]
    return {
        int(number): (x, y)
        for one in came
        for number, x, y in zip(one.numbers, one.x, one.y, strict=True)
    }


def kinds_of(events):
    return [one.kind for one in events if isinstance(one, Incident)]


def ended(events):
    return any(isinstance(one, End) for one in events)


@pytest.fixture
def push():
    """A socket that pushes, and its address."""
    socket = zmq.Context.instance().socket(zmq.PUSH)
    socket.bind("tcp://127.0.0.1:*")
    yield socket, socket.getsockopt_string(zmq.LAST_ENDPOINT)
    socket.close(0)


def opened(kind, address, names=None, what="frames"):
    return getattr(find_source("--source", kind), what)(address, names or Names())


def image(number, frame, series="s1"):
    data = cbor2.CBORTag(40, [list(frame.shape), cbor2.CBORTag(69, frame.tobytes())])
    message = {"type": "image", "series_unique_id": series, "image_id": number,
               "data": {"threshold_1": data, "threshold_2": data}}  # fmt: skip
    return cbor2.dumps(message)


def test_kinds_are_found_by_entry_point():
    assert {"dectris", "folder", "hdf5", "panda", "pva", "table", "zmq", "zmq-pull"} <= set(
        source_names()
    )
    with pytest.raises(InvalidValueError) as caught:
        find_source("--source", "eiger")
    assert caught.value.name == "--source"
    with pytest.raises(InvalidValueError):
        split_address("--source", "detector")
    assert split_address("--source", "pva:DET:Image") == ("pva", "DET:Image")


def test_dectris_frames_with_their_experiment(push):
    socket, address = push
    source = opened("dectris", address)
    frames = np.random.default_rng(0).poisson(4, (6, 8, 10)).astype(np.uint16)
    mask = np.zeros((8, 10), np.uint32)
    mask[2, 3] = 1
    masks = {"threshold_1": cbor2.CBORTag(40, [[8, 10], cbor2.CBORTag(70, mask.tobytes())])}
    start = {"type": "start", "series_unique_id": "s1", "number_of_images": 6,
             "incident_energy": 8800.0, "detector_distance": 2.5, "pixel_size_x": 75e-6,
             "pixel_size_y": 75e-6, "pixel_mask": masks, "beam_center_x": 5.0,
             "beam_center_y": 4.0}  # fmt: skip
    socket.send(cbor2.dumps(start))
    for number, frame in enumerate(frames):
        socket.send(image(number, frame))
    socket.send(b"no cbor at all")
    socket.send(image(7, frames[0], series="s2"))
    socket.send(cbor2.dumps({"type": "end", "series_unique_id": "s1"}))
    events = received(source, ended)
    source.close()
    numbers, found = frames_of(events)
    np.testing.assert_array_equal(numbers, range(6))
    np.testing.assert_array_equal(found, frames)
    begin = next(one for one in events if isinstance(one, Begin))
    assert (begin.expected, begin.energy_ev, begin.distance_m) == (6, 8800.0, 2.5)
    assert begin.beam_centre == (4.0, 5.0)
    np.testing.assert_array_equal(begin.mask, mask)
    kinds = kinds_of(events)
    assert kinds.count("damaged") == 1
    assert kinds.count("other_series") == 1


def test_a_detector_that_dies_and_returns(push):
    socket, address = push
    source = opened("dectris", address)
    frame = np.ones((4, 4), np.uint16)
    socket.send(image(0, frame))
    received(source, lambda events: number_of_frames(events) == 1)
    socket.close(0)
    events = received(source, lambda events: "disconnected" in kinds_of(events))
    again = zmq.Context.instance().socket(zmq.PUSH)
    again.bind(address)
    again.send(image(1, frame))
    events = received(
        source, lambda events: number_of_frames(events) == 1 and "reconnected" in kinds_of(events)
    )
    source.close()
    again.close(0)
    assert frames_of(events)[0].tolist() == [1]


def test_a_sender_is_gone_only_behind_its_last_message(push):
    socket, address = push
    source = opened("dectris", address)
    for number in range(100):
        socket.send(image(number, np.zeros((4, 4), np.uint16)))
    socket.send(cbor2.dumps({"type": "end", "series_unique_id": "s1"}))
    received(source, lambda events: number_of_frames(events) > 0)
    socket.close()  # what waits is sent first
    assert source.connection.monitor.poll(int(1000 * PATIENCE_S))
    events = received(source, lambda events: "disconnected" in kinds_of(events))
    source.close()
    last = [isinstance(one, End) for one in events].index(True)
    gone = [isinstance(one, Incident) for one in events].index(True)
    assert last < gone


def test_positions_by_zmq_in_both_encodings(push):
    socket, address = push
    source = opened("zmq-pull", address, what="positions")
    socket.send(cbor2.dumps({"numbers": [3, 1], "x": [1.5, 2], "y": [0, 4], "unit": "um"}))
    socket.send(json.dumps({"first": 7, "x": [5.0], "y": [6.0], "unit": "m"}).encode())
    socket.send(b"{")
    socket.send(json.dumps({"type": "end"}).encode())
    events = received(source, ended)
    source.close()
    found = positions_of(events)
    assert found.keys() == {1, 3, 7}
    np.testing.assert_allclose(found[3], (1.5e-6, 0))
    np.testing.assert_allclose(found[7], (5.0, 6.0))
    assert kinds_of(events) == ["damaged"]


@pytest.mark.parametrize(
    "message",
    [
        {"x": [1], "y": [2]},
        {"numbers": [1, 2], "x": [1], "y": [2]},
        {"numbers": [0.5], "x": [1], "y": [2]},
        {"numbers": [-1], "x": [1], "y": [2]},
        {"first": 0, "x": "abc", "y": [2]},
        {"first": 0, "x": [1], "y": [2], "unit": "parsec"},
        {"first": True, "x": [1], "y": [2]},
        {"type": "image"},
        {"first": 0, "x": [[1]], "y": [[2]]},
    ],
)
def test_what_are_no_positions_is_refused(message):
    with pytest.raises(MessageError):
        positions_in(message)


#: Appends to a file in steps, one for each line of input; HDF5 needs a process of its own for it.
WRITER = """
import sys, h5py, numpy as np
data = np.load(sys.argv[2])
with h5py.File(sys.argv[1], "w", libver="latest") as file:
    stack = file.create_dataset("entry/data", (0, 6, 6), "u2", maxshape=(None, 6, 6),
                                chunks=(2, 6, 6))
    number, sx, sy = (file.create_dataset(name, (0,), kind, maxshape=(None,), chunks=(8,))
                      for name, kind in (("entry/id", "i8"), ("sx", "f8"), ("sy", "f8")))
    file.swmr_mode = True
    for line in sys.stdin:
        stop = int(line)
        for one in (stack, number, sx, sy):
            one.resize(stop, axis=0)
        stack[:], number[:] = data[:stop], np.arange(10, 10 + stop)
        sx[:], sy[:] = np.arange(stop), np.arange(stop)
        for one in (stack, number, sx, sy):
            one.flush()
"""


def test_a_growing_hdf5_file(tmp_path):
    path, data = tmp_path / "run.h5", np.random.default_rng(1).poisson(4, (9, 6, 6))
    np.save(tmp_path / "data.npy", data.astype(np.uint16))
    names = Names(patterns="entry/data", x="sx", y="sy", unit="um")
    frames = opened("hdf5", f"{path}#entry/id", names)
    places = opened("hdf5", str(path), names, what="positions")
    assert frames.read(0.0) == []  # the file is not there yet
    command = [sys.executable, "-c", WRITER, str(path), str(tmp_path / "data.npy")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, text=True) as writer:  # noqa: S603 - ours
        writer.stdin.write("4\n")
        writer.stdin.flush()
        events = received(frames, lambda events: number_of_frames(events) == 4)
        spots = received(places, lambda events: len(positions_of(events)) == 4)
        writer.stdin.write("9\n")
        writer.stdin.flush()
        events += received(frames, lambda events: number_of_frames(events) == 5)
        assert not ended(events)  # its writer has not closed it
        writer.stdin.close()
    events += received(frames, ended)
    spots += received(places, ended)
    numbers, found = frames_of(events)
    assert numbers.tolist() == list(range(10, 19))
    np.testing.assert_array_equal(found, data)
    np.testing.assert_allclose(positions_of(spots)[8], (8e-6, 8e-6))


def test_a_folder_that_frames_arrive_in(tmp_path):
    folder, table = tmp_path / "frames", tmp_path / "positions.txt"
    frames = opened("folder", str(folder))
    places = opened("table", str(table), Names(unit="nm"), what="positions")
    assert frames.read(0.0) == []
    folder.mkdir()
    (folder / "notes.txt").write_text("no frame")
    (folder / "scan_4.edf").write_bytes(b"half a file")
    for number in (1, 10, 2):
        EdfImage(data=np.full((4, 4), number, np.uint16)).write(str(folder / f"scan_{number}.edf"))
    table.write_text("# number x y\n1 5 6\n10, 7, 8\n2 1")
    events = received(frames, lambda events: number_of_frames(events) == 3)
    spots = received(places, lambda events: len(positions_of(events)) == 2)
    with table.open("a") as file:
        file.write("5 3\nend\n")
    spots += received(places, ended)
    EdfImage(data=np.full((4, 4), 4, np.uint16)).write(str(folder / "scan_4.edf"))
    (folder / "scan.done").touch()
    events += received(frames, ended)
    numbers, found = frames_of(events)
    assert sorted(numbers.tolist()) == [1, 2, 4, 10]
    np.testing.assert_array_equal(found[:, 0, 0], numbers)
    np.testing.assert_allclose(positions_of(spots)[2], (15e-9, 3e-9))


def test_pva_frames_with_attributes_and_a_table():
    nt = pytest.importorskip("p4p.nt")
    from p4p.client.thread import Context
    from p4p.server import Server
    from p4p.server.thread import SharedPV
    from ptycho_data.streams._pva import Monitor, PvaFrames, PvaTable

    array = nt.NTNDArray()

    def value(number, frame):
        made = array.wrap(frame)
        made["uniqueId"] = number
        made["attribute"] = [{"name": "MX", "value": 2.0 * number}, {"name": "MY", "value": 1.0}]
        return made

    first = SharedPV(initial=value(99, np.zeros((4, 6), np.uint16)))
    columns = [("number", "l"), ("x", "d"), ("y", "d")]
    table = SharedPV(nt=nt.NTTable(columns=columns), initial=[])
    with Server(providers=[{"T:image": first, "T:place": table}], isolate=True) as server:
        context = Context("pva", conf=server.conf(), useenv=False, nt=False)
        image_monitor, table_monitor = (
            Monitor.of("T:image", context),
            Monitor.of("T:place", context),
        )
        frames = PvaFrames(monitor=image_monitor, attributes=("MX", "MY"), unit="um")
        places = PvaTable(monitor=table_monitor, unit="m")
        received(frames, lambda _: image_monitor.connected)
        received(places, lambda _: table_monitor.connected)
        for number in range(5):
            first.post(value(number, np.full((4, 6), number, np.uint16)))
        table.post([{"number": 3, "x": 1.0, "y": 2.0}])
        events = received(frames, lambda events: number_of_frames(events) == 5)
        spots = received(places, positions_of)
        frames.close()
        places.close()
        context.close()
    numbers, found = frames_of(events)
    assert numbers.tolist() == list(range(5))  # not 99, which was there before
    assert found.shape == (5, 4, 6)
    np.testing.assert_array_equal(found[:, 0, 0], numbers)
    np.testing.assert_allclose(positions_of(events)[4], (8e-6, 1e-6))
    np.testing.assert_allclose(positions_of(spots)[3], (1.0, 2.0))


def test_a_raster_is_known_from_the_start():
    source = RasterPositions.of(Names(raster=(2, 3), step="20nm,30nm", snake=True))
    came, end = source.read(0.0)
    assert source.read(0.0) == []
    np.testing.assert_allclose(came.x, np.array([0, 1, 2, 2, 1, 0]) * 20e-9)
    np.testing.assert_allclose(came.y, np.array([0, 0, 0, 1, 1, 1]) * 30e-9)
    assert end.what == "positions"


@pytest.mark.parametrize("address", ["detector", "udp://host:1", "tcp://host", "tcp://:1"])
def test_addresses_that_are_none(address):
    with pytest.raises(InvalidValueError) as caught:
        opened("dectris", address)
    assert caught.value.name == "--source dectris"
