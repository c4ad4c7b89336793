"""Calls of the command through a server that has imported everything."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attrs import define, field, frozen

HERE = Path(__file__).parent
THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)


@frozen(kw_only=True)
class Answer:
    """What became of a call.

    Attributes
    ----------
    code
        Exit code, or minus the number of the signal that ended it.
    out, err
        What it printed.
    wall_s, cpu_s, megabytes
        Time, and the peak of resident memory, with the 400 MB of the server.
    changes
        How often it changed a file of the watched folder.
    killed
        ``kill`` where we ended it on purpose, ``hang`` where it took too long, else empty.
    """

    code: int
    out: str
    err: str
    wall_s: float
    cpu_s: float
    megabytes: float
    changes: int
    killed: str


@define
class Server:
    """A process that has imported the packages and one backend, and forks for every call."""

    backend: str = "pytorch"
    _process: Any = field(default=None, init=False)

    def __enter__(self) -> "Server":
        """Start."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.close()

    def close(self) -> None:
        """Stop the process; a later call starts a new one."""
        if self._process is not None:
            self._process.stdin.close()
            self._process.wait()
            self._process.stdout.close()
            self._process = None

    def _start(self) -> None:
        one = dict.fromkeys(THREADS, "1")
        quiet = {"MPLBACKEND": "Agg", "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
        self._process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, str(HERE / "server.py"), self.backend],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | one | quiet,
        )
        if self._process.stdout.readline() != "ready\n":
            raise RuntimeError("the server did not start: see above")

    def call(self, argv: Sequence[str | Path], cwd: Path, **limits: Any) -> Answer:
        """Run ``ptycho ARGV`` in a folder; ``limits`` are those of `server`."""
        if self._process is None:
            self._start()
        job = {"argv": [str(a) for a in argv], "cwd": str(cwd), **limits}
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        return Answer(**json.loads(self._process.stdout.readline()))
