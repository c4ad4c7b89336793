"""Start a replay as a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from attrs import define
from ptycho_config.errors import InvalidValueError

__all__ = ["Replay", "replaying"]


@define(eq=False)
class Replay:
    """A replay that runs.

    Attributes
    ----------
    process
        Its process.
    told
        What its first line says: ``source``, ``positions``, ``unit``, ``names``, ``environment``,
        and ``expected``, where it says them.
    """

    process: "subprocess.Popen[str]"
    told: dict[str, Any]

    @classmethod
    def started(cls, scan: Path, protocol: str, rate: float, *more: str) -> Self:
        """Start it; it sends as soon as somebody receives.

        Parameters
        ----------
        scan
            What it sends.
        protocol
            In which protocol.
        rate
            Frames a second.
        more
            Further arguments of ``python -m ptycho_data.streams.replay``.

        Raises
        ------
        InvalidValueError
            It ended at once; the message has its error.
        """
        module = "ptycho_data.streams.replay"
        given = [str(scan), "--protocol", protocol, "--rate", repr(rate), "--go", *more]
        process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", module, *given],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C ends the stream, and the stream the replay
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )
        assert process.stdout is not None and process.stderr is not None  # noqa: S101, PT018
        line = process.stdout.readline()
        if not line:
            errors = process.stderr.read().strip().splitlines()
            process.wait()
            got = errors[-1].removeprefix("error: ") if errors else "its process ended"
            raise InvalidValueError("replay", "a scan that can be sent", got)
        return cls(process, json.loads(line))

    def end(self) -> dict[str, Any]:
        """End it; returns what its last line says, nothing if it was not done."""
        if self.process.poll() is None:
            self.process.terminate()
        output, _ = self.process.communicate()
        lines = output.strip().splitlines()
        return json.loads(lines[-1]) if lines else {}


@contextmanager
def replaying(scan: Path, protocol: str, rate: float, *more: str) -> Iterator[Replay]:
    """Start a replay, and end it with the block; arguments and errors are of `Replay.started`."""
    replay = Replay.started(scan, protocol, rate, *more)
    try:
        yield replay
    finally:
        replay.end()
