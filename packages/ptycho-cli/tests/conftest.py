"""Small scans, the command in this process, and a backend that needs no framework."""

import sys
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest
from attrs import frozen
from ptycho_cli.main import main
from ptycho_core import backends
from ptycho_data import load_scan, save_scan


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
            self.code in (1, 2)
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
        return Outcome(code, captured.out, captured.err)

    return run


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
def stand_in(tmp_path, monkeypatch):
    """A backend whose network is the solver: the commands around it run without a framework."""
    package = tmp_path / "path" / "stand_in_backend"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "training.py").write_text(
        dedent("""
        import numpy as np
        from ptycho_config import to_dict
        from ptycho_data import Bundle, save_bundle
        from ptycho_core.results import TrainingInterrupted, TrainingResult

        CALLS = []

        def train(scan, config, execution, *, test_scan, overrides_applied, resume, overwrite):
            CALLS.append(dict(scan=scan, config=config, execution=execution, test_scan=test_scan,
                              resume=resume, overrides=overrides_applied))
            scan = scan[0] if isinstance(scan, list) else scan
            history = {"train_loss": [2.0, 1.0], "val_loss": [3.0, 1.5]}
            bundle = Bundle(
                config=to_dict(config), overrides_applied=overrides_applied, scaling={},
                probe=scan.probe, weights={"layer.weight": np.ones((2, 3), np.float32)},
                history=history, backend="pytorch", versions={},
            )
            path = save_bundle(config.output_dir, bundle, overwrite)
            done = resume and config.nepochs == 1414
            result = TrainingResult(
                bundle_path=path, history=history, seconds=0.5, epochs=2, written=not done
            )
            if config.nepochs == 1313:
                raise TrainingInterrupted(result)
            return result
        """)
    )
    (package / "settings.py").write_text(
        dedent("""
        def check_training(config, execution, scans=1):
            if config.model.architecture == "resnet":
                raise ValueError("architecture: one of cnn, unrolled expected, found 'resnet'")

        def check_inference(execution):
            if execution.accelerator == "tpu":
                raise ValueError("execution: accelerator 'tpu' must be one of this machine")
        """)
    )
    (package / "reconstruction.py").write_text(
        dedent("""
        from ptycho_core.results import InferenceResult
        from ptycho_core.solving import reconstruction_of
        from ptycho_physics import solve

        CALLS = []

        def reconstruct(bundle, scan, config, execution, *, progress):
            CALLS.append(dict(bundle=bundle, scan=scan, config=config, execution=execution))
            solution = solve(scan.counts(nphotons=1e6), scan.positions, scan.probe, epochs=2)
            progress(scan.n, scan.n)
            rec = reconstruction_of(solution, scan)
            return InferenceResult(
                reconstruction=rec, r_factor=solution.r_factors[-1], timings={"stitch": 0.1},
                patterns_per_second=600.0, backend="pytorch",
            )
        """)
    )
    monkeypatch.syspath_prepend(tmp_path / "path")
    monkeypatch.setitem(
        backends.BACKENDS,
        "pytorch",
        backends.Backend(
            name="pytorch", package="stand_in_backend", framework="math", extra="torch"
        ),
    )
    parts = ("", ".training", ".reconstruction", ".settings")
    names = [f"stand_in_backend{part}" for part in parts]
    yield lambda part: sys.modules[f"stand_in_backend.{part}"].CALLS
    for name in names:
        sys.modules.pop(name, None)
