"""``python -m ptycho_data.streams.replay``: send a scan as a detector would.

The first line on standard output says, as JSON, where to receive. Sending begins when a line comes
on standard input, or at once with ``--go``; the last line says what was sent.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from ptycho_config.errors import PtychoError

from ptycho_data._load import load_scan
from ptycho_data.streams.replay._course import Course, Faults, send
from ptycho_data.streams.replay._senders import SENDERS

__all__ = ["main"]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m ptycho_data.streams.replay", description=__doc__)
    parser.add_argument("scan", type=Path, help="a scan that `ptycho infer` reads")
    parser.add_argument("--protocol", choices=sorted(SENDERS), default="dectris")
    parser.add_argument("--rate", type=float, default=1000.0, help="frames a second")
    parser.add_argument(
        "--where", default="", help="two ports (dectris), a folder (hdf5, folder), table (pva)"
    )
    parser.add_argument("--first", type=int, default=0, help="number of the first frame")
    parser.add_argument("--stop", type=int, help="number behind the last frame")
    parser.add_argument("--no-end", action="store_true", help="do not say that it ends")
    parser.add_argument("--go", action="store_true", help="do not wait for a line of input")
    for name in ("lost", "doubled", "disordered"):
        parser.add_argument(f"--{name}", type=float, default=0.0, help="share of the frames")
    parser.add_argument("--late", type=float, default=0.0, help="seconds, positions after frames")
    parser.add_argument("--seed", type=int, default=0, help="seed of the faults")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Replay a scan; returns the exit code."""
    given = _parser().parse_args(arguments)
    try:
        scan = load_scan(given.scan)
        stop = scan.n if given.stop is None else given.stop
        sender = SENDERS[given.protocol](scan, stop, given.where)
    except (PtychoError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - a program of its own
        return 1
    faults = Faults(
        lost=given.lost,
        doubled=given.doubled,
        disordered=given.disordered,
        late=given.late,
        seed=given.seed,
    )
    course = Course(
        scan=scan,
        first=given.first,
        stop=stop,
        rate=given.rate,
        faults=faults,
        ends=not given.no_end,
    )
    sender.prepare()
    print(json.dumps({**sender.addresses(), "expected": stop}), flush=True)  # noqa: T201
    if not given.go and not sys.stdin.readline():
        return 1  # nobody waits any more
    sender.begin()
    told = send(course, sender)
    sender.close()
    print(json.dumps(told), flush=True)  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
