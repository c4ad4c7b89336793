"""Positions of a PandA: a client against servers of TCP."""

import socket
import struct
import threading
import time

import numpy as np
import pytest
from ptycho_config.errors import InvalidValueError
from ptycho_data.raw import Names
from ptycho_data.streams import End, Incident, PositionsCame, find_source
from ptycho_data.streams.replay._places import PandaPlaces

PATIENCE_S = 60.0
#: As PandABlocks-server documents it, with the time of arming that newer versions add.
HEADER = """<header>
<data missed="{missed}" process="Scaled" format="Framed" sample_bytes="24" arm_time="{armed}" />
<fields>
<field name="COUNTER1.OUT" type="double" capture="Value" scale="1" offset="0" units="" />
<field name="INENC1.VAL" type="double" capture="Mean" scale="1" offset="0" units="{unit}" />
<field name="INENC2.VAL" type="double" capture="Mean" scale="1" offset="0" units="um" />
</fields>
</header>

"""


def begun(missed=0, armed="2026-11-30T07:00:00Z", unit="mm"):
    return HEADER.format(missed=missed, armed=armed, unit=unit).encode()


def samples(*rows):
    data = np.array(rows, "<f8").tobytes()
    return b"BIN " + struct.pack("<I", 8 + len(data)) + data


class Server:
    """Sends what it is given, a few bytes at a time, and hangs up between two connections."""

    def __init__(self, *answers):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "{}:{}".format(*self.listener.getsockname())
        self.answers, self.asked = answers, []
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self):
        for answer in self.answers:
            client, _ = self.listener.accept()
            with client:
                self.asked.append(client.recv(100))
                for start in range(0, len(answer), 37):
                    client.sendall(answer[start : start + 37])

    def close(self):
        self.thread.join(PATIENCE_S)
        self.listener.close()


def opened(address, **names):
    return find_source("--positions", "panda").positions(address, Names(**names))


def received(source, until):
    """Read until something holds of all events; returns them."""
    events, limit = [], time.monotonic() + PATIENCE_S
    while not until(events):
        assert time.monotonic() < limit, f"only {events}"
        events += source.read(0.05)
    return events


def ended(events):
    return any(isinstance(one, End) for one in events)


def listened(*answers, fields="INENC1.VAL,INENC2.VAL", until=ended, **names):
    """Return what a client receives of a server until something holds of it, the end by default."""
    server = Server(*answers)
    source = opened(f"{server.address}#{fields}", **names)
    try:
        return received(source, until)
    finally:
        source.close()
        server.close()


def places(events):
    came = [one for one in events if isinstance(one, PositionsCame)]
    return {
        int(number): (x, y)
        for one in came
        for number, x, y in zip(one.numbers, one.x, one.y, strict=True)
    }


def kinds(events):
    return [one.kind for one in events if isinstance(one, Incident)]


def test_samples_are_counted_from_those_that_were_missed():
    answer = b"OK\n" + begun(missed=5) + samples((0, 1, 2), (0, 3, 4)) + samples((0, 5, 6))
    events = listened(answer + b"END 3 Ok\n")
    assert places(events).keys() == {5, 6, 7}
    np.testing.assert_allclose(places(events)[6], (3e-3, 4e-6))  # each axis in its own unit
    assert events[-1] == End(what="positions", expected=8)


def test_the_request_is_one_line_of_options():
    server = Server(b"OK\n")
    source = opened(f"{server.address}#A,B")
    received(source, lambda events: "disconnected" in kinds(events))
    source.close()
    server.close()
    assert server.asked[0].split() == [b"XML", b"FRAMED", b"SCALED"]


def test_a_connection_that_is_lost_goes_on_with_the_right_numbers():
    first = b"OK\n" + begun() + samples((0, 1, 1), (0, 2, 2)) + samples((0, 3, 3))[:20]
    then = b"OK\n" + begun(missed=4) + samples((0, 5, 5)) + b"END 5 Ok\n"
    events = listened(first, then)
    assert places(events).keys() == {0, 1, 4}
    assert kinds(events)[:2] == ["disconnected", "reconnected"]


def test_another_experiment_does_not_count_on():
    first = b"OK\n" + begun() + samples((0, 1, 1)) + b"END 1 Disarmed\n"
    again = begun(armed="later") + samples((0, 9, 9)) + b"END 1 Ok\n"
    both = listened(first + again, until=lambda events: "other_series" in kinds(events))
    assert places(both) == {0: (1e-3, 1e-6)}
    hung_up = b"OK\n" + begun() + samples((0, 1, 1))
    apart = listened(
        hung_up, b"OK\n" + again, until=lambda events: kinds(events).count("disconnected") == 2
    )
    assert places(apart) == {0: (1e-3, 1e-6)}
    assert "other_series" in kinds(apart)


def test_a_captured_counter_numbers_the_frames_of_several_experiments():
    first = begun() + samples((7, 1, 1), (8, 2, 2)) + b"END 2 Ok\n"
    then = begun(armed="later") + samples((9, 3, 3), (-1, 4, 4)) + samples((10, 5, 5))
    server = Server(b"OK\n" + first + then)
    source = opened(f"{server.address}#INENC1.VAL.Mean,INENC2.VAL.Mean,COUNTER1.OUT")
    events = received(source, lambda events: 10 in places(events))
    source.close()
    server.close()
    assert places(events).keys() == {7, 8, 10}  # not those of the block with a number below 0
    assert kinds(events) == ["damaged"]
    assert not any(isinstance(one, End) for one in events)


def test_what_is_no_panda_is_told_and_tried_again():
    good = b"OK\n" + begun() + samples((0, 1, 1)) + b"END 1 Data overrun\n"
    events = listened(b"HTTP/1.1 400 Bad Request\n", b"ERR Unknown capture options\n", good)
    assert kinds(events).count("damaged") == 3  # two of the protocol, and the overrun
    assert places(events).keys() == {0}


def test_units_of_the_panda_win_and_must_be_lengths():
    answer = b"OK\n" + begun(unit="") + samples((0, 1, 1)) + b"END 1 Ok\n"
    assert places(listened(answer, unit="nm"))[0] == pytest.approx((1e-9, 1e-6))
    with pytest.raises(InvalidValueError) as caught:
        listened(b"OK\n" + begun(unit="deg"))
    assert caught.value.name == "unit of INENC1.VAL.Mean"


def test_a_field_that_is_not_captured_is_refused_with_those_that_are():
    with pytest.raises(InvalidValueError) as caught:
        listened(b"OK\n" + begun(), fields="INENC1.VAL,INENC3.VAL")
    assert "INENC2.VAL.Mean" in str(caught.value)


@pytest.mark.parametrize("address", ["panda", "panda#X", "panda:0#X,Y", "panda:99999#X,Y", "#X,Y"])
def test_addresses_that_are_none(address):
    with pytest.raises(InvalidValueError) as caught:
        opened(address)
    assert caught.value.name == "--positions panda"


def test_a_server_that_comes_late():
    server = PandaPlaces(0)
    address = server.address().removeprefix("panda:")
    server.close()
    source = opened(address)
    assert source.read(0.1) == []  # nobody is there
    port = int(address.partition("#")[0].rpartition(":")[2])
    server = PandaPlaces(port)
    thread = threading.Thread(target=server.begin)
    thread.start()
    while thread.is_alive():
        assert source.read(0.05) == []
    server.send(np.arange(3, 5), np.array([[1.0, 2.0], [3.0, 4.0]]))
    server.end(5)
    events = received(source, ended)
    source.close()
    server.close()
    assert places(events) == {3: (1.0, 2.0), 4: (3.0, 4.0)}
    assert next(one for one in events if isinstance(one, PositionsCame)).in_pixels
