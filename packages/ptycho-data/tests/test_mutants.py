"""Whatever happened to a file: a correct scan or one clear error, soon, and nothing else."""

import collections
import importlib
import json
import select
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent / "mutation"
SECONDS, MEGABYTES = 5, 500
#: Seconds of a processor are limited, which mean the same on a busy machine; these end a hang.
PATIENCE = 60

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="memory is limited and measured as Linux does"
)


class Reader:
    """A process that reads one mutant after another; a new one where it does not answer."""

    def __init__(self, valid_files: Path) -> None:
        self.command = [sys.executable, "-B", str(FOLDER / "worker.py"), str(valid_files)]
        self.command.append(str(MEGABYTES))
        self.process: subprocess.Popen[str] | None = None

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None

    def read(self, path: Path, original: str | None) -> dict[str, Any]:
        if self.process is None:
            self.process = subprocess.Popen(  # noqa: S603 - our own program
                self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps({"path": str(path), "original": original}) + "\n")
        stdin.flush()
        if not select.select([stdout], [], [], PATIENCE)[0]:
            self.close()
            return {"outcome": "failed", "message": f"no answer within {PATIENCE} s"}
        line = stdout.readline()
        if not line:
            code = self.process.wait()
            self.close()
            return {"outcome": "failed", "message": f"the process ended with code {code}"}
        answer: dict[str, Any] = json.loads(line)
        return answer


@pytest.fixture(scope="module")
def tools():
    """The generator of mutants and the valid files, from the folder beside this file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        yield importlib.import_module("mutants"), importlib.import_module("valid")


@pytest.fixture(scope="module")
def reader(tools, tmp_path_factory):
    folder = tmp_path_factory.mktemp("valid")
    for name, write in tools[1].FORMATS.items():
        (folder / name).mkdir()
        write(folder / name)
    reader = Reader(folder)
    # Imports are no part of any mutant's time.
    assert reader.read(folder / "npz" / "scan.npz", "npz")["outcome"] == "scan"
    yield reader
    reader.close()


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    found = ((path, path.lstat()) for path in folder.rglob("*"))
    return {str(path): (state.st_size, state.st_mtime_ns) for path, state in found}


def test_valid_files_are_read(tools, reader, tmp_path):
    _, valid = tools
    for name, write in valid.FORMATS.items():
        (tmp_path / name).mkdir()
        answer = reader.read(write(tmp_path / name), name)
        assert answer["outcome"] == "scan", f"{name}: {answer['message']}"


@pytest.mark.parametrize(
    "seeds", [range(200), pytest.param(range(200, 5000), marks=pytest.mark.slow)], ids=len
)
def test_every_mutant_is_read_or_refused(seeds, tools, reader, tmp_path):
    mutants, _ = tools
    trap, failures = tmp_path / "trap", []
    outcomes: collections.Counter[object] = collections.Counter()
    for seed in seeds:
        mutant = mutants.make(seed, tmp_path / "mutant", trap)
        before = snapshot(tmp_path)
        answer = reader.read(mutant.path, mutant.original)
        outcomes[answer["outcome"]] += 1
        if answer["outcome"] == "failed":
            failures.append(f"{mutant.label}: {answer['message']}")
        elif answer["megabytes"] > MEGABYTES or answer["seconds"] > SECONDS:
            took = f"{answer['megabytes']:.0f} MB, {answer['seconds']:.1f} s"
            failures.append(f"{mutant.label}: took {took}")
        if trap.exists() or snapshot(tmp_path) != before:
            failures.append(f"{mutant.label}: something was executed or written")
            trap.unlink(missing_ok=True)
    assert not failures, f"{len(failures)} of {len(seeds)}:\n" + "\n".join(failures[:20])
    assert outcomes["refused"] > len(seeds) / 3
    assert outcomes["scan"] > len(seeds) / 20
