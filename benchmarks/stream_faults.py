"""Streams with faults: what becomes of `ptycho stream` when something fails around it.

Everything is a process of its own, as at a beamline: a replay sends a simulated scan like a DECTRIS
detector or appends it to a file, `ptycho stream` receives it, and one of them is killed, or sends
late, in disorder or not all. Afterwards every pattern of the stream must be one of the scan, at its
own position, and the object that of `ptycho infer` from the file of the stream.

    python benchmarks/stream_faults.py -o OUT
    python benchmarks/stream_faults.py -o OUT --only lost,killed

It prints a table, and ends with exit code 1 if a case misses its bounds.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from attrs import field, frozen
from ptycho_cli.main import main as ptycho
from ptycho_core.streaming.spool import SPOOL_FOLDER, Spool
from ptycho_data import load_reconstruction, load_scan
from ptycho_data.streams.replay import Replay

#: An object may differ so much from that of `ptycho infer`, where the coverage is at least this
#: part of its maximum.
CORRELATION, PHASE_RMS, COVERED = 0.999, 0.05, 0.05
#: Where a stream is killed, a scan is sent so many times slower: it is to go on while the second
#: stream loads its network.
SLOWER = 32.0
#: Nothing here takes so long.
PATIENCE_S = 900.0


@frozen(kw_only=True)
class Bench:
    """What all cases share.

    Attributes
    ----------
    scan, model
        Files of the scan that is sent, and of the network.
    folder
        For results.
    patterns, rate
        Number of frames, and how many a second are sent.
    """

    scan: Path
    model: Path
    folder: Path
    patterns: int
    rate: float

    def replay(self, protocol: str, *more: str, slower: float = 1.0) -> Replay:
        """Start a process that sends the scan."""
        return Replay.started(self.scan, protocol, self.rate / slower, *more)

    @contextmanager
    def stream(self, out: Path, told: dict[str, Any], *more: str) -> Iterator[Stream]:
        """Start `ptycho stream`, and kill it if it has not ended with the block."""
        words = ["--source", told["source"], "--patience", "30", *more]
        if "positions" in told:
            words += ["--positions", told["positions"]]
        for name, value in told.get("names", {}).items():
            words += [f"--{name}", value]
        stream = Stream.started(self.model, out, *words)
        try:
            yield stream
        finally:
            stream.kill()


@frozen(kw_only=True)
class Stream:
    """A `ptycho stream` that runs; what it says is in a file beside its results."""

    process: subprocess.Popen[bytes]
    out: Path

    @classmethod
    def started(cls, model: Path, out: Path, *words: str) -> Stream:
        """Start it."""
        plain = ("--no-pictures", "--no-report", "--accelerator", "cpu")
        command = ["stream", str(model), "-o", str(out), *plain, *words]
        with log_of(out).open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 - our own command
                [sys.executable, "-m", "ptycho_cli", *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )
        return cls(process=process, out=out)

    def ended(self) -> None:
        """Wait until it has ended well."""
        if self.process.wait(PATIENCE_S):
            raise RuntimeError(log_of(self.out).read_text("utf-8")[-2000:])

    def kill(self) -> None:
        """End it as `kill -9` does."""
        self.process.kill()
        self.process.wait()

    def page(self) -> str:
        """Return the address of its page."""
        seen = re.compile(r"live page: (\S+)")
        wait_until(lambda: seen.search(log_of(self.out).read_text("utf-8")) is not None)
        found = seen.search(log_of(self.out).read_text("utf-8"))
        return "" if found is None else found[1]


def log_of(out: Path) -> Path:
    """Return the file of what a stream says."""
    return out.with_name(f"{out.name}.log")


def wait_until(true: Callable[[], bool]) -> None:
    """Wait until something is true."""
    limit = time.monotonic() + PATIENCE_S
    while not true():
        if time.monotonic() > limit:
            raise TimeoutError
        time.sleep(0.05)


def arrived(out: Path) -> int:
    """Return how many frames are on disk so far, whole or not."""
    folder = out / SPOOL_FOLDER
    path = folder / "patterns.dat"
    if not path.exists() or not path.stat().st_size:
        return 0
    seen = out.with_name(f"{out.name}-seen")  # what is opened again is cut: of a copy
    shutil.copytree(folder, seen, dirs_exist_ok=True)
    spool = Spool.reopen(seen)
    number = len(spool)
    spool.close()
    shutil.rmtree(seen)
    return number


def ports() -> str:
    """Return two free ports, for a source that returns to the same ones."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    found = ",".join(str(one.getsockname()[1]) for one in sockets)
    for one in sockets:
        one.close()
    return found


def faulty(*faults: str) -> Callable[[Bench, Path], None]:
    """Return a case whose replay has faults."""

    def run(bench: Bench, out: Path) -> None:
        replay = bench.replay("dectris", *faults)
        with bench.stream(out, replay.told) as stream:
            stream.ended()
        replay.end()

    return run


def source_returns(bench: Bench, out: Path) -> None:
    """Kill the source after a third of the scan, and start it again with what it had not sent."""
    where = ports()
    replay = bench.replay("dectris", "--where", where, "--no-end")
    with bench.stream(out, replay.told) as stream:
        wait_until(lambda: arrived(out) > bench.patterns // 3)
        replay.process.send_signal(signal.SIGKILL)
        replay.end()
        time.sleep(2.0)
        first = max(0, arrived(out) - 10)  # some come twice
        replay = bench.replay("dectris", "--where", where, "--first", str(first))
        stream.ended()
    replay.end()


def viewer_hangs(bench: Bench, out: Path) -> None:
    """Open events and picture of the page in eight viewers each, none of which ever reads."""
    replay = bench.replay("dectris")
    with bench.stream(out, replay.told, "--serve", "0") as stream:
        parts = urlsplit(stream.page())
        viewers = []
        for number in range(16):
            viewer = socket.socket()
            viewer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            viewer.connect((parts.hostname, parts.port))
            path = "object" if number % 2 else "events"
            viewer.sendall(f"GET /{path} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
            viewers.append(viewer)
        stream.ended()
        for viewer in viewers:
            viewer.close()
    replay.end()


def killed(protocol: str) -> Callable[[Bench, Path], None]:
    """Return a case in which the stream is killed after a third of the scan, and resumed."""

    def run(bench: Bench, out: Path) -> None:
        where = ("--where", str(out.parent)) if protocol == "hdf5" else ()
        replay = bench.replay(protocol, *where, slower=SLOWER)
        with bench.stream(out, replay.told) as stream:
            wait_until(lambda: arrived(out) > bench.patterns // 3)
            stream.kill()
        had = arrived(out)
        alone = out.with_name(f"{out.name}-alone")
        shutil.copytree(out, alone)
        with bench.stream(out, replay.told, "--resume", "--stop-after-idle", "60") as stream:
            stream.ended()
        replay.end()
        Stream.started(bench.model, alone, "--resume").ended()
        if (found := load_scan(alone / "scan.npz").n) != had:
            raise RuntimeError(f"{had} frames had come before the kill, {found} were found")

    return run


@frozen(kw_only=True)
class Case:
    """A fault.

    Attributes
    ----------
    title
        In words.
    run
        Makes a stream with it.
    losses
        Which share of the frames may be missing at the end: those that nobody could receive.
    counted
        What the stream must have counted.
    """

    title: str
    run: Callable[[Bench, Path], None]
    losses: float = 0.0
    counted: tuple[str, ...] = field(default=())


CASES = {
    "none": Case(title="none", run=faulty()),
    "source": Case(
        title="the source is killed, and returns",
        run=source_returns,
        counted=("disconnected", "reconnected", "doubled_frames"),
    ),
    "disordered": Case(
        title="1 % of the frames out of order",
        run=faulty("--disordered", "0.01"),
        counted=("out_of_order",),
    ),
    "lost": Case(title="1 % of the frames lost", run=faulty("--lost", "0.01"), losses=0.03),
    "late": Case(title="positions 2 s late", run=faulty("--late", "2")),
    "viewer": Case(title="16 viewers that never read", run=viewer_hangs),
    "killed": Case(
        title="`kill -9` and `--resume`, the detector goes on",
        run=killed("dectris"),
        losses=0.7,
        counted=("resumed_frames",),
    ),
    "file": Case(
        title="`kill -9` and `--resume`, the file goes on",
        run=killed("hdf5"),
        counted=("resumed_frames",),
    ),
}


def mixed_up(bench: Bench, out: Path) -> int:
    """Return how many patterns of a stream are none of the scan, or at the place of another."""
    sent, came = load_scan(bench.scan), load_scan(out / "scan.npz")
    place = {
        pattern.tobytes(): tuple(at)
        for pattern, at in zip(sent.diffraction[:], sent.positions, strict=True)
    }
    wrong = 0
    for pattern, at in zip(came.diffraction[:].astype(sent.diffraction.dtype), came.positions,
                           strict=True):  # fmt: skip
        own = place.pop(pattern.tobytes(), None)  # once
        wrong += own is None or not np.allclose(own, at, atol=1e-6)
    return wrong


def differences(out: Path, offline: Path) -> tuple[float, float, float]:
    """Return correlation, and rms and largest difference of the phases, of two objects."""
    live, file = load_reconstruction(out), load_reconstruction(offline)
    if live.object.shape != file.object.shape:
        raise RuntimeError(f"objects of {live.object.shape} and {file.object.shape}")
    lit = file.coverage >= COVERED * file.coverage.max()
    a, b = live.object[lit].astype(complex), file.object[lit].astype(complex)
    product = np.vdot(b, a)
    correlation = abs(product) / np.sqrt(np.vdot(a, a).real * np.vdot(b, b).real)
    phases = np.angle(a * b.conj() * product.conj())
    return float(correlation), float(np.sqrt(np.mean(phases**2))), float(np.abs(phases).max())


def judge(bench: Bench, name: str) -> tuple[str, bool]:
    """Run a case; returns its line of the table, and whether it kept its bounds."""
    case, out = CASES[name], bench.folder / name
    for path in bench.folder.glob(f"{name}*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    case.run(bench, out)
    offline = bench.folder / f"{name}-offline"
    plain = ("--no-pictures", "--no-report", "--accelerator", "cpu", "-q")
    if ptycho(["infer", str(bench.model), str(out / "scan.npz"), "-o", str(offline), *plain]):
        raise RuntimeError("ptycho infer failed")
    told = load_metrics(out)["stream"]
    correlation, rms, most = differences(out, offline)
    wrong = mixed_up(bench, out)
    counts = {key: n for key, n in told["counts"].items() if n}
    good = (
        correlation >= CORRELATION
        and rms <= PHASE_RMS
        and not wrong
        and told["missing"] <= case.losses * bench.patterns
        and told["patterns"] == bench.patterns - told["missing"]
        and all(counts.get(key) for key in case.counted)
    )
    others = {k: n for k, n in counts.items() if k not in ("frames", "positions")}
    noted = ", ".join(f"{key.replace('_', ' ')} {n}" for key, n in others.items())
    cells = [case.title, told["patterns"], told["missing"], noted or "-", wrong]
    cells += [f"{correlation:.5f}", f"{rms:.3f}", f"{most:.3f}"]
    return f"| {' | '.join(map(str, cells))} |" + ("" if good else "  <- misses a bound"), good


def load_metrics(out: Path) -> dict[str, Any]:
    """Read what a stream says of itself."""
    import json

    return dict(json.loads((out / "metrics.json").read_text("utf-8")))


def main() -> int:
    """Run the cases, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for everything")
    parser.add_argument("--only", default=",".join(CASES), help="cases, with commas between them")
    parser.add_argument("--patterns", type=int, default=400, help="[default: 400]")
    parser.add_argument("--rate", type=float, default=80.0, help="frames a second [default: 80]")
    given = parser.parse_args()
    folder = given.output
    folder.mkdir(parents=True, exist_ok=True)
    scan, model = folder / "scan.npz", folder / "model"
    if not model.exists():
        made = ["--n-patterns", str(given.patterns), "--photons", "1e5", "--object", "random"]
        code = ptycho(["simulate", "-o", str(scan), *made, "--overwrite", "-q"])
        code = code or ptycho(["train", str(scan), "-o", str(model), "--nepochs", "1", "-q"])
        if code:
            return code
    bench = Bench(scan=scan, model=model, folder=folder, patterns=given.patterns, rate=given.rate)
    print("| fault | in the object | missing | counted | mixed up | correlation | rms | most |")
    print("|---|---|---|---|---|---|---|---|")
    all_good = True
    for name in given.only.split(","):
        line, good = judge(bench, name)
        print(line, flush=True)
        all_good &= good
    return 0 if all_good else 1


if __name__ == "__main__":
    sys.exit(main())
