"""What is to be damaged, whole: scans of every format, networks, results and settings."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
from attrs import define, field
from calls import Server

ROOT = Path(__file__).parents[2]
# The small scans of every format that the tests of ptycho-data damage too, and their mutations.
sys.path.append(str(ROOT / "packages" / "ptycho-data" / "tests" / "mutation"))

sys.path.append(str(ROOT / "packages" / "ptycho-data" / "tests" / "raw"))

import layout_files  # noqa: E402 - from the folders of the lines above
import valid  # noqa: E402

#: Trains in a second, in one with TensorFlow in seven.
SMALL = ["--n-filters-scale", "1", "--batch-size", "12"]
NETWORK = {"pytorch": [], "tensorflow": ["--architecture", "cnn"]}
#: Checkpoint of the epoch before the last.
CHECKPOINTS = {"pytorch": "last.ckpt", "tensorflow": "last.npz"}
SETTINGS = {
    "nepochs": 1,
    "batch_size": 12,
    "learning_rate": 0.002,
    "nll_weight": 1.0,
    "seed": 0,
    "probe_trainable": False,
    "model": {"architecture": "unrolled", "n_filters_scale": 1, "gridsize": 1},
}


def as_toml(settings: dict[str, object]) -> str:
    """Write settings as TOML: values first, then the tables."""
    flat = [f"{k} = {json.dumps(v)}" for k, v in settings.items() if not isinstance(v, dict)]
    tables = [
        "\n".join([f"[{k}]", *(f"{n} = {json.dumps(x)}" for n, x in v.items())])
        for k, v in settings.items()
        if isinstance(v, dict)
    ]
    return "\n".join([*flat, *tables, ""])


def as_yaml(settings: dict[str, object]) -> str:
    """Write settings as YAML, in block style."""
    lines = []
    for name, value in settings.items():
        if isinstance(value, dict):
            lines += [f"{name}:", *(f"  {n}: {json.dumps(x)}" for n, x in value.items())]
        else:
            lines.append(f"{name}: {json.dumps(value)}")
    return "\n".join([*lines, ""])


@define
class Samples:
    """The folder of whole inputs; each is made when first asked for.

    ``scans/FORMAT``
        a scan of 12 patterns of 8 x 8, as others write the format, and as ``convert`` does
    ``star.npz``
        24 patterns of 64 x 64, which a network can be trained on
    ``model-BACKEND``
        a training of one epoch, which can be resumed
    ``rec``, ``res-BACKEND``
        results of the solver and of a network
    ``settings``
        settings as TOML, YAML and JSON
    """

    folder: Path
    servers: dict[str, Server] = field(factory=dict)

    def server(self, backend: str = "none") -> Server:
        """The server with a backend, or without one, which is faster."""
        if backend not in self.servers:
            self.servers[backend] = Server(backend)
        return self.servers[backend]

    def close(self) -> None:
        """Stop all servers."""
        for server in self.servers.values():
            server.close()

    def _run(self, *argv: str | Path, backend: str = "none") -> None:
        answer = self.server(backend).call(argv, self.folder, seconds=300)
        if answer.code:
            raise RuntimeError(f"a sample could not be made: {argv}: {answer.err}")

    @property
    def formats(self) -> list[str]:
        """Every format, as others write it, and those that we write."""
        return [*valid.FORMATS, "written npz", "written cxi", "written ptychodus"]

    def scan(self, name: str) -> tuple[Path, str]:
        """Folder of a scan, and the name of the file to open in it."""
        folder = self.folder / "scans" / name
        if not folder.exists():
            folder.mkdir(parents=True)
            if name == "npz":  # of one object; the compressed one is of three
                valid.write_npz(folder, content=valid.arrays() | {"scan_index": np.zeros(12, int)})
            elif name in valid.FORMATS:
                valid.FORMATS[name](folder)
            else:
                kind = name.removeprefix("written ")
                target = folder if kind == "ptychodus" else folder / f"scan.{kind}"
                source, file = self.scan("npz")
                shutil.rmtree(folder)
                target.parent.mkdir(exist_ok=True)
                self._run("convert", source / file, target, "--to", kind)
        names = {path.name for path in folder.iterdir()}
        usual = ("scan.npz", "scan.cxi", "diffraction.h5", "scan_dp.hdf5")
        return folder, next(n for n in usual if n in names)

    @property
    def layouts(self) -> list[str]:
        """Every layout of the files of instruments."""
        return [writer.__name__ for writer in layout_files.WRITERS]

    def raw(self, name: str) -> tuple[Path, list[str]]:
        """Folder of the files of an instrument, with a recipe for them, and the names to give."""
        folder = self.folder / "raw" / name
        writer = next(w for w in layout_files.WRITERS if w.__name__ == name)
        if not folder.exists():
            folder.mkdir(parents=True)
            paths, _ = writer(folder)
            names = [path.name for path in paths]
            (folder / "names.json").write_text(json.dumps(names), "utf-8")
            said = {"detector_pixel": "75um", "distance": "2.2m", "energy": "9keV", "size": 8}
            said |= {"bin": 1, "flip_x": True, "centre": "8,8", "rotate": "1.5"}
            said |= layout_files.SAID.get(name, {})
            if isinstance(said.get("raster"), tuple):
                said["raster"] = "x".join(map(str, said["raster"]))
            (folder / "recipe.toml").write_text(as_toml(said), "utf-8")
        return folder, json.loads((folder / "names.json").read_text("utf-8"))

    def star(self) -> Path:
        """Return the scan to train on."""
        path = self.folder / "star.npz"
        if not path.exists():
            self._run("simulate", "-o", path, "--N", "64", "--n-patterns", "24", "--size", "96",
                      "--photons", "1e5", "--seed", "1")  # fmt: skip
        return path

    def other_star(self) -> Path:
        """Return another scan of the same size, of another object."""
        path = self.folder / "other.npz"
        if not path.exists():
            self._run("simulate", "-o", path, "--N", "64", "--n-patterns", "24", "--size", "96",
                      "--photons", "1e5", "--seed", "2", "--object", "random")  # fmt: skip
        return path

    def result_of_other_star(self, command: str, backend: str) -> Path:
        """Return the folder of a result of the other scan."""
        path = self.folder / f"other-{command}-{backend}"
        if not path.exists():
            argv: list[str | Path] = ["reconstruct", self.other_star(), "-o", path, "--epochs", "1"]
            if command == "infer":
                argv = ["infer", self.model(backend), self.other_star(), "-o", path]
            self._run(*argv, backend=backend)
        return path

    def old_output(self, kind: str, out: str) -> Path:
        """Return what `convert`, `simulate` or `fixture` made of the other scan."""
        path = self.folder / f"old-{kind}" / out
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            if kind == "simulate":
                shutil.copy(self.other_star(), path)
            elif kind == "fixture":
                self._run("fixture", self.other_star(), "-o", path, "--subset-size", "6")
            else:
                self._run("convert", self.other_star(), path, "--to", kind)
        return path

    def model(self, backend: str) -> Path:
        """Return the folder of a training of one epoch."""
        path = self.folder / f"model-{backend}"
        if not path.exists():
            self._run("train", self.star(), "-o", path, "--backend", backend, "--nepochs", "1",
                      *SMALL, *NETWORK[backend], backend=backend)  # fmt: skip
        return path

    def rec(self) -> Path:
        """Return the folder of a result of the solver."""
        path = self.folder / "rec"
        if not path.exists():
            self._run("reconstruct", self.star(), "-o", path, "--epochs", "2")
        return path

    def res(self, backend: str) -> Path:
        """Return the folder of a result of a network."""
        path = self.folder / f"res-{backend}"
        if not path.exists():
            self._run("infer", self.model(backend), self.star(), "-o", path, backend=backend)
        return path

    def settings(self, kind: str) -> str:
        """Return the text of the settings as ``toml``, ``yaml`` or ``json``."""
        return {"toml": as_toml, "yaml": as_yaml, "json": json.dumps}[kind](SETTINGS)
