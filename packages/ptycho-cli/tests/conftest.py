"""Small scans, the command in this process, and a backend that needs no framework."""

import re
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from attrs import frozen
from ptycho_cli.main import main
from ptycho_core.testing import FakeBackend, registered
from ptycho_data import load_scan, save_scan


def without_times(text: str) -> str:
    """Lines on standard error without the time at which they came."""
    return re.sub(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d ", "", text, flags=re.MULTILINE)


@frozen
class Outcome:
    code: int
    out: str
    err: str

    def fails_with(self, *words: str) -> bool:
        """One error of at most two lines that holds these words; no traceback."""
        lines = [line for line in self.err.splitlines() if line]
        errors = [i for i, line in enumerate(lines) if line.startswith("error: ")]
        return (
            self.code in (1, 2, 3, 4)
            and len(errors) == 1
            and len(lines) - errors[0] <= 2
            and "Traceback" not in self.err
            and "internal error" not in self.err
            and all(word in "\n".join(lines[errors[0] :]) for word in words)
        )


@pytest.fixture
def ptycho(capsys):
    """Run the command line in this process."""

    def run(*args: object) -> Outcome:
        capsys.readouterr()
        code = main([str(arg) for arg in args])
        captured = capsys.readouterr()
        return Outcome(code, captured.out, without_times(captured.err))

    return run


@pytest.fixture
def said(capsys):
    """Return what was printed on standard output and, without times, on standard error."""

    def read() -> tuple[str, str]:
        out, err = capsys.readouterr()
        return out, without_times(err)

    return read


@pytest.fixture(scope="session")
def _simulated(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("data") / "scan.npz"
    args = ["simulate", "-o", str(path), "--N", "64", "--size", "104", "--n-patterns", "60", "-q"]
    assert main([*args, "--object", "random", "--photons", "1e6"]) == 0
    return path


@pytest.fixture
def scan_file(_simulated, tmp_path) -> Path:
    """A scan of 60 patterns of 64 x 64, in a folder of its own."""
    path = tmp_path / "scan.npz"
    path.write_bytes(_simulated.read_bytes())
    return path


@pytest.fixture(scope="session")
def _reconstructed(_simulated, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("solved") / "rec"
    args = ["reconstruct", str(_simulated), "-o", str(folder), "--epochs", "6", "-q"]
    assert main(args) == 0
    return folder


@pytest.fixture
def solved(_reconstructed) -> Path:
    """The folder of a reconstruction of `scan_file`; do not write there."""
    return _reconstructed


@pytest.fixture
def edited(scan_file, tmp_path):
    """Write a scan with some arrays replaced, or dropped where None."""

    def write(name: str = "edited.npz", **changes: object) -> Path:
        with np.load(scan_file) as file:
            arrays = {key: file[key] for key in file.files}
        for key, value in changes.items():
            arrays.pop(key, None)
            if value is not None:
                arrays[key] = np.asarray(value)
        np.savez(tmp_path / name, **arrays)
        return tmp_path / name

    return write


@pytest.fixture
def amplitude_file(scan_file, tmp_path) -> Path:
    """The scan as normalised amplitudes that state no photons."""
    import attrs

    scan = load_scan(scan_file)
    amplitude = np.sqrt(scan.counts())
    path = tmp_path / "amplitude.npz"
    scaled = (amplitude / amplitude.max()).astype(np.float32)
    changed = attrs.evolve(
        scan, diffraction=scaled, domain="amplitude", nphotons=None, known_totals=None
    )
    save_scan(path, changed)
    return path


@pytest.fixture
def backend_that():
    """Put a `FakeBackend` that behaves in some way in the place of the PyTorch backend."""
    with ExitStack() as stack:

        def use(**behaviour):
            fake = FakeBackend(name="pytorch", extra="torch", **behaviour)
            return stack.enter_context(registered(fake))

        yield use


@pytest.fixture
def stand_in(backend_that):
    """A backend whose network is the solver: the commands around it run without a framework."""
    return backend_that()
