"""Writers whose disk becomes full: one error that names the file, and nothing else."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no RLIMIT_FSIZE")

#: Writes a file within a limit of its size; HDF5 has been seen to crash as the program ends.
PROGRAM = """
import resource, sys
from pathlib import Path
import numpy as np
from ptycho_data import (Bundle, NoSpaceError, Reconstruction, Scan, format_named, save_bundle,
                         save_product, save_reconstruction)

rng = np.random.default_rng(0)
probe = np.ones((1, 32, 32), np.complex64)
scan = Scan(diffraction=rng.integers(1, 9, (80, 32, 32)).astype(np.uint16), domain="counts",
            xcoords=np.arange(80.0), ycoords=np.arange(80.0), probe=probe, pixel_size_m=1e-8)
values = rng.normal(size=(150, 150)) + 1
rec = Reconstruction(object=values.astype(np.complex64), coverage=np.ones((150, 150)), xcoords=[50],
                     ycoords=[50], indices=[0], probe=probe, origin=[0, 0])
bundle = Bundle(config={}, overrides_applied={}, scaling={}, history={}, probe=probe, versions={},
                backend="pytorch", weights={"w": values.astype(np.float32)})
writers = {
    "scan.npz": lambda path: format_named("npz").write(path, scan, True),
    "scan.cxi": lambda path: format_named("cxi").write(path, scan, True),
    "pair": lambda path: format_named("ptychodus").write(path, scan, True),
    "rec.npz": lambda path: save_reconstruction(path, rec, overwrite=True),
    "product.h5": lambda path: save_product(path, rec, overwrite=True),
    "model": lambda path: save_bundle(path, bundle, overwrite=True),
}
folder = Path(sys.argv[1])
for name, write in writers.items():
    write(folder / name)
before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
free = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
for name, write in writers.items():
    for most in (0, 1000, 5000, 12_000, 50_000, 100_000):
        if name == "model" and most >= 90_000:
            continue
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, free))
        try:
            write(folder / name)
        except NoSpaceError as error:
            assert error.path.is_relative_to(folder / name), error.path
        else:
            raise SystemExit(f"{name} was written within {most} bytes")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (free, free))
assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before
print("all refused")
"""


def test_every_writer_tells_it_and_spares_the_old_file(tmp_path):
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", PROGRAM, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.stdout == "all refused\n", done.stdout + done.stderr
    assert not done.stderr
    assert done.returncode == 0
