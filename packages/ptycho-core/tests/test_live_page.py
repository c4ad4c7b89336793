"""The live page: a real server in a process of its own, asked by real requests."""

import json
import logging
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from urllib.parse import urlsplit

import h5py
import numpy as np
import pytest
from ptycho_config.errors import InvalidValueError, MissingPackageError
from ptycho_core.live_page import (
    Address,
    Publisher,
    Snapshot,
    live_page,
    needed,
    opening,
    parse_address,
)
from ptycho_core.testing.live_page import ask, events, small_snapshot, until
from ptycho_data import load_reconstruction


@pytest.fixture(scope="module")
def snapshot():
    return small_snapshot()


@pytest.fixture(scope="module")
def page(snapshot):
    """A page on the loopback interface, with a picture."""
    with live_page(parse_address("0")) as opened:
        opened.begin("reconstruct", scan="a/b scan.npz", patterns=2)
        opened.show(snapshot)
        until(lambda: ask(opened.url, "object")[0] == 200)
        yield opened


@pytest.fixture(scope="module")
def guarded():
    """A page on all interfaces, which asks for its token."""
    with live_page(parse_address("0.0.0.0:0")) as opened:
        here = opened.url.replace(socket.gethostname(), "127.0.0.1")
        token = here.partition("token=")[2]
        until(lambda: ask(here, "", query=f"token={token}")[0] == 200)
        yield here, token


def planes_of(body):
    """The header of an answer, and its bytes."""
    (length,) = struct.unpack("<I", body[:4])
    return json.loads(body[4 : 4 + length]), body[4 + length :]


def object_of(body):
    header, rest = planes_of(body)
    shape = header["height"], header["width"]
    count = shape[0] * shape[1]
    amplitude = np.frombuffer(rest, "<u2", count).reshape(shape) * header["amplitude"] / 65535
    phase = np.frombuffer(rest, "<i2", count, 2 * count).reshape(shape) * np.pi / 32767
    coverage = np.frombuffer(rest, "u1", count, 4 * count).reshape(shape)
    assert len(rest) == 5 * count
    return header, amplitude, phase, coverage


def test_the_object_comes_with_its_ramp_removed_and_the_ramp_beside_it(page, snapshot):
    rec = snapshot.reconstruction
    header, amplitude, phase, coverage = object_of(ask(page.url, "object")[2])
    assert header["origin"] == [-3, 7]
    assert header["covered"] == [5, 5, 110, 80]
    assert header["pixel_size_m"] == 8e-9
    seen = rec.coverage > 0
    np.testing.assert_array_equal(coverage > 0, seen)
    np.testing.assert_allclose(amplitude[seen], np.abs(rec.object)[seen], atol=1e-4)
    rows, columns = np.mgrid[:90, :120]
    along_x, along_y, offset = header["removed"]
    assert (along_x, along_y) == pytest.approx((0.05, -0.3), abs=0.01)
    back = phase + along_x * columns + along_y * rows + offset
    difference = np.angle(np.exp(1j * back) * rec.object.conj())
    assert np.abs(difference[seen]).max() < 1e-3
    assert abs(np.angle(np.exp(1j * phase[seen]).mean())) < 0.05


def test_a_part_of_the_object_is_cut_out(page):
    whole = object_of(ask(page.url, "object")[2])
    part = object_of(ask(page.url, "object", query="left=20&top=10&width=30&height=15")[2])
    assert (part[0]["left"], part[0]["top"], part[0]["binned"]) == (20, 10, 1)
    np.testing.assert_array_equal(part[2], whole[2][10:25, 20:50])
    corner = object_of(ask(page.url, "object", query="left=119&top=89&width=500&height=500")[2])
    assert corner[1].shape == (1, 1)


@pytest.mark.parametrize("query", ["left=-1", "width=x", "top=1e3", "height=99999999999", "left="])
def test_a_part_that_is_no_number_is_refused(page, query):
    assert ask(page.url, "object", query=query)[0] == 400


def test_patterns_come_beside_each_other(page, snapshot):
    header, rest = planes_of(ask(page.url, "pattern")[2])
    assert (header["planes"], header["side"], header["pattern"]) == (2, 16, "pattern 1")
    found = np.frombuffer(rest, "<f4").reshape(2, 16, 16)
    np.testing.assert_allclose(found[0], snapshot.measured)
    np.testing.assert_allclose(found[1], snapshot.modelled)
    measured, modelled = np.sqrt(snapshot.measured), np.sqrt(snapshot.modelled)
    misfit = np.abs(measured - modelled).sum() / measured.sum()
    assert header["misfit"] == pytest.approx(misfit)


def test_downloads_are_files_of_ours(page, snapshot, tmp_path):
    for name in ("reconstruction.npz", "product.h5"):
        status, headers, body = ask(page.url, name)
        assert status == 200
        assert f"b_scan_npz{name[-4:].lstrip('t')}" in headers["content-disposition"]
        (tmp_path / name).write_bytes(body)
    found = load_reconstruction(tmp_path / "reconstruction.npz")
    np.testing.assert_array_equal(found.object, snapshot.reconstruction.object)
    assert found.pixel_size_m == 8e-9
    with h5py.File(tmp_path / "product.h5") as file:
        assert file["object"].shape[-2:] == (90, 120)


def test_the_page_is_one_document_that_loads_nothing_else(page):
    status, headers, body = ask(page.url, "")
    assert status == 200
    text = body.decode()
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in text
    assert " src=" not in text
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize(
    "path", ["page/page.css", "../state.py", "%2e%2e/%2e%2e/etc/passwd", "product.h5/x", "static/x"]
)
def test_there_is_nothing_but_the_listed_addresses(page, path):
    assert ask(page.url, path)[0] == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_the_page_only_reads(page, method):
    assert ask(page.url, "object", method=method)[0] == 405


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:80", 200),
        ("127.0.0.1", 200),
        ("evil.example", 421),
        ("evil.example:8050", 421),
        ("127.0.0.1.evil.example", 421),
        ("localhost:80@evil.example", 421),
        ("", 421),
    ],
)
def test_a_name_that_leads_here_is_no_way_in(page, host, status):
    assert ask(page.url, "object", Host=host)[0] == status
    assert ask(page.url, "", Host=host)[0] == status


def test_others_need_the_token(guarded):
    url, token = guarded
    for query, headers in (
        ("", {}),
        ("token=", {}),
        (f"token={token[:-1]}", {}),
        ("token=%C3%A4", {}),
        ("", {"Authorization": "Bearer wrong"}),
        ("", {"Authorization": f"Basic {token}"}),
    ):
        for path in ("", "events", "object", "reconstruction.npz", "nothing"):
            status, _, body = ask(url, path, query=query, **headers)
            assert status == 401, (path, query, headers)
            assert token.encode() not in body
    assert ask(url, "", query=f"token={token}")[0] == 200
    assert ask(url, "", Authorization=f"Bearer {token}")[0] == 200
    # a name does not matter then: one that leads here does not have the token
    assert ask(url, "", query=f"token={token}", Host="beamline.example")[0] == 200


def test_tokens_are_long_and_differ():
    first, second = parse_address("0.0.0.0:1"), parse_address("0.0.0.0:1")
    assert len(first.token) >= 32
    assert first.token != second.token
    assert parse_address("8050").token == ""


def test_what_is_said_arrives_and_a_late_viewer_gets_all_of_it():
    with live_page(parse_address("0")) as page:
        page.begin("stream", scan="seven")
        for epoch in range(1, 4):
            page.point("epoch", epoch, loss=1 / epoch)
        page.now(rate=12.5, latency=float("nan"))
        page.progress(3, None, "patterns")
        page.caution("first doubt")
        with events(page.url) as early:
            got = [next(early)]
            while len(got[-1]["cautions"]) < 1:
                got.append(next(early))
            page.point("epoch", 4, loss=0.25)
            later = next(early)
            assert [entry["x"] for entry in later["points"]["entries"]] == [4]
            assert not later["points"]["whole"]
        with events(page.url) as late:
            news = next(late)
        assert [entry["x"] for entry in news["points"]["entries"]] == [1, 2, 3, 4]
        assert news["run"]["facts"] == {"scan": "seven"}
        assert news["now"]["value rate"] == 12.5
        assert news["now"]["value latency"] is None
        assert news["now"]["progress"] == {"done": 3, "total": None, "unit": "patterns"}
        assert news["cautions"] == ["first doubt"]
        assert news["end"] is None


def test_the_end_is_told_and_then_the_server_goes():
    with live_page(parse_address("0")) as page:
        page.begin("train", scan="x")
        page.end("finished", "R-factor 0.05")
        page.end("failed", "said too late")
        with events(page.url) as stream:
            news = next(stream)
            while news["end"] is None:
                news = next(stream)
    assert (news["end"]["how"], news["end"]["text"]) == ("finished", "R-factor 0.05")
    with pytest.raises(ConnectionRefusedError):
        ask(page.url, "")


def test_an_error_of_the_run_is_its_end():
    seen = []
    with live_page(parse_address("0")) as page:
        page.begin("train", scan="x")
        with pytest.raises(ValueError, match="no light"), page.ending():
            raise ValueError("no light")
        with events(page.url) as stream:
            seen.append(next(stream)["end"])
            while seen[-1] is None:
                seen.append(next(stream)["end"])
    assert (seen[-1]["how"], seen[-1]["text"]) == ("failed", "no light")


def test_a_second_run_replaces_the_first(snapshot):
    with live_page(parse_address("0")) as page:
        page.begin("reconstruct", scan="one")
        page.point("epoch", 1, loss=3)
        page.show(snapshot)
        page.end("finished")
        with events(page.url) as stream:
            while not next(stream)["picture"]:
                pass
            page.begin("reconstruct", scan="two")
            news = next(stream)
            while "run" not in news:
                news = next(stream)
            assert news["run"]["facts"]["scan"] == "two"
            assert news["points"] == {"whole": True, "entries": []}
            assert (news["picture"], news["end"]) == (0, None)
        assert ask(page.url, "object")[0] == 404


def hanging(url, path):
    """A viewer that asks and takes nothing of the answer."""
    parts = urlsplit(url)
    viewer = socket.socket()
    viewer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    viewer.connect((parts.hostname, parts.port))
    viewer.sendall(f"GET /{path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    return viewer


def test_viewers_that_hang_or_leave_hinder_nobody():
    snapshot = small_snapshot((600, 600))
    with live_page(parse_address("0")) as page:
        page.begin("stream", scan="x")
        page.show(snapshot)
        until(lambda: ask(page.url, "object")[0] == 200)
        viewers = [hanging(page.url, path) for path in ("events", "object", "product.h5") * 4]
        hanging(page.url, "object").close()
        hanging(page.url, "events").close()
        slowest = 0.0
        for number in range(400):
            began = time.thread_time()
            page.point("epoch", number, loss=number)
            page.now(rate=number)
            page.show(snapshot)
            slowest = max(slowest, time.thread_time() - began)
        assert slowest < 0.05  # of its own work: it never waits
        with events(page.url) as stream:
            while not (entries := next(stream)["points"]["entries"]) or entries[-1]["x"] != 399:
                pass
        assert ask(page.url, "object")[0] == 200
        for viewer in viewers:
            viewer.close()


def process_of(page):
    return page._process.pid


def test_a_server_that_dies_is_no_end_of_the_run(caplog, snapshot):
    with caplog.at_level(logging.WARNING), live_page(parse_address("0")) as page:
        page.begin("train", scan="x")
        until(lambda: ask_or_none(page.url) == 200)
        os.kill(process_of(page), signal.SIGKILL)
        page._process.wait()
        until(lambda: page.point("epoch", 1, loss=1) or "page ended" in caplog.text)
        page.show(snapshot)
        assert not page.offer(lambda: pytest.fail("nobody sees it"))
    assert caplog.text.count("the run goes on without it") == 1


def ask_or_none(url):
    try:
        return ask(url, "")[0]
    except OSError:
        return None


def test_a_server_that_hangs_does_not_hold_the_run(monkeypatch):
    monkeypatch.setattr(opening, "PATIENCE_S", 0.3)
    large = small_snapshot((700, 700))
    with live_page(parse_address("0")) as page:
        page.begin("train", scan="x")
        until(lambda: ask_or_none(page.url) == 200)
        os.kill(process_of(page), signal.SIGSTOP)
        for number in range(1000):
            page.show(large)
            page.point("epoch", number, loss=1)
        made = []
        for _ in range(20):
            page.offer(lambda: made.append(1) or large)
            time.sleep(0.02)
        assert len(made) <= 1  # one that waits is enough
    assert page._process.returncode == -signal.SIGKILL


RUN = """
import time
from ptycho_core.live_page import live_page, parse_address
with live_page(parse_address("0")) as page:
    page.begin("train", scan="x")
    print(page.url, page._process.pid, flush=True)
    time.sleep(600)
"""


def test_the_server_goes_when_the_run_is_killed():
    with subprocess.Popen(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", RUN], stdout=subprocess.PIPE, text=True
    ) as run:
        url, server = run.stdout.readline().split()
        until(lambda: ask_or_none(url) == 200)
        with events(url) as stream:
            next(stream)
            run.kill()
            *_, last = stream
    assert last["end"]["how"] == "failed"
    until(lambda: not is_alive(int(server)))


def is_alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{process}/stat") as file:  # noqa: PTH123 - not waited for by init here
        return file.read().rpartition(")")[2].split()[0] != "Z"


def test_pictures_are_made_seldom_and_their_errors_are_warnings(caplog, snapshot):
    with live_page(parse_address("0")) as page:
        page.begin("train", scan="x")
        made = []
        assert page.offer(lambda: made.append(1) or snapshot)
        for _ in range(100):
            page.offer(lambda: made.append(1) or snapshot)
        assert len(made) == 1
        page._due = 0.0
        until(lambda: not page._outbox.picture_waits)
        assert page.offer(lambda: 1 / 0)
        assert "no picture for the live page" in caplog.text


def test_a_picture_takes_a_hundredth_of_the_time(monkeypatch, snapshot):
    clock = [100.0]

    def slow():
        clock[0] += 0.5
        return snapshot

    with live_page(parse_address("0")) as page:
        page.begin("train", scan="x")
        with monkeypatch.context() as patch:
            patch.setattr(opening.time, "monotonic", lambda: clock[0])
            page.offer(slow)
        assert page._due == pytest.approx(105.5)  # the first one may import and compile
        until(lambda: not page._outbox.picture_waits)
        with monkeypatch.context() as patch:
            patch.setattr(opening.time, "monotonic", lambda: clock[0])
            clock[0] = 200.0
            page.offer(slow)
        assert page._due == pytest.approx(250.5)


def test_nobody_to_publish_to_costs_nothing():
    with live_page(None) as page:
        page.begin("train", scan="x")
        page.point("epoch", 1, loss=2.0)
        assert not page.offer(lambda: pytest.fail("nobody sees it"))
        assert not page.is_watched
    assert type(page) is Publisher


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("8050", "127.0.0.1", 8050),
        ("0", "127.0.0.1", 0),
        (":81", "127.0.0.1", 81),
        ("localhost:81", "127.0.0.1", 81),
        ("0.0.0.0:81", "0.0.0.0", 81),  # noqa: S104 - read, not taken
        ("192.168.7.1:65535", "192.168.7.1", 65535),
    ],
)
def test_addresses(text, host, port):
    address = parse_address(text)
    assert (address.host, address.port) == (host, port)
    assert address.is_loopback == (host == "127.0.0.1")


@pytest.mark.parametrize(
    "text", ["", "x", "-1", "65536", "1e3", "host.example:80", "1.2.3:80", "::1", "80:", "²", "8 0"]
)
def test_what_is_no_address(text):
    with pytest.raises(InvalidValueError) as caught:
        parse_address(text)
    assert caught.value.name == "serve"


def test_a_port_that_is_taken_is_refused_before_any_work():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = Address(port=taken.getsockname()[1])
        with pytest.raises(InvalidValueError) as caught, live_page(address):
            pass
    assert caught.value.name == "serve"


def test_an_interface_of_another_machine_is_refused():
    with pytest.raises(InvalidValueError), live_page(parse_address("192.0.2.1:0")):
        pass


def test_packages_that_are_missing_are_named(monkeypatch):
    monkeypatch.setattr(needed, "_NEEDED", ("starlette", "no_such_package"))
    with pytest.raises(MissingPackageError) as caught, live_page(parse_address("0")):
        pass
    assert "no_such_package" in str(caught.value)
    assert "ptycho-cli[serve]" in str(caught.value)


def test_a_pattern_is_scaled_to_what_was_measured(snapshot):
    rec = snapshot.reconstruction
    exact = Snapshot.of(rec, 1, np.ones((16, 16)))
    again = Snapshot.of(rec, 1, 7.0 * exact.modelled)
    np.testing.assert_allclose(again.modelled, again.measured, rtol=1e-6)
    assert again.pattern == "pattern 1"
    bad = np.zeros((16, 16), bool)
    bad[3, 4] = True
    spoilt = again.measured.copy()
    spoilt[3, 4] = 1e9
    masked = Snapshot.of(rec, 1, spoilt, bad)
    assert np.isnan(masked.measured[3, 4])
    assert np.isnan(masked.modelled[3, 4])
    np.testing.assert_allclose(masked.modelled[~bad], again.modelled[~bad], rtol=1e-6)
