"""Scans larger than memory: sparse files, which take no room on the disk, read under a limit."""

import json
import subprocess
import sys

import h5py
import numpy as np
import pytest

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="memory is limited and measured as Linux does"
)

N = 256
LIMIT_MIB = 150

#: Reads a scan every way there is but all at once; prints what it took, in MiB.
PROGRAM = """
import json, resource, sys
from pathlib import Path
import h5py, numpy as np, scipy.spatial
from ptycho_data import group_positions, load_scan, save_fixture

def mib(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name + ":"))

path, limit = Path(sys.argv[1]), int(sys.argv[2])
Path("/proc/self/clear_refs").write_text("5")
start = mib("VmRSS")
# What is allocated is limited by the kernel; pages of mapped files count in the peak below.
allowed = int((mib("VmData") + limit) * 2**20)
resource.setrlimit(resource.RLIMIT_DATA, (allowed, allowed))
scan = load_scan(path)
groups = group_positions(scan.positions, 2, n_groups=1000, neighbor_count=7)
totals = [float(scan.counts(rows).sum()) for rows in groups[::100]]
for rows in np.random.default_rng(0).permutation(scan.n)[:800].reshape(50, 16):
    assert scan.counts(rows).shape == (len(rows), scan.N, scan.N)
half = scan.select(slice(0, scan.n, 2))
assert half.counts([0, -1]).sum() == scan.counts([0, 2 * half.n - 2]).sum()
save_fixture(path.with_name("small.npz"), scan, 16)
print(json.dumps({"n": scan.n, "total": float(scan.intensity_totals.sum()),
                  "MiB": mib("VmHWM") - start}))
"""


def write_sparse(path, n):
    """A CXI file whose patterns are declared and, but for a few, never written."""
    side = int(np.ceil(np.sqrt(n)))
    rows, columns = np.divmod(np.arange(n), side)
    with h5py.File(path, "w") as file:
        plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plan.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        plan.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        space = h5py.h5s.create_simple((n, N, N))
        group = file.create_group("entry_1/data_1")
        kind = h5py.h5t.py_create(np.dtype(np.uint16))
        stack = h5py.Dataset(h5py.h5d.create(group.id, b"data", kind, space, plan))
        for index in np.linspace(0, n - 1, 50).astype(int):
            stack[index, 100, 100:110] = 7
        file["entry_1/instrument_1/source_1/illumination"] = np.ones((1, N, N), np.complex64)
        place = np.stack([columns, rows, 0 * rows], axis=1) * 5e-8
        file["entry_1/sample_1/geometry_1/translation"] = place
        detector = file.create_group("entry_1/instrument_1/detector_1")
        detector["distance"], detector["x_pixel_size"], detector["y_pixel_size"] = (
            2.0,
            7.5e-5,
            7.5e-5,
        )
        file["entry_1/instrument_1/source_1/energy"] = 1.3e-15


@pytest.mark.parametrize("gibibytes", [0.5, pytest.param(20, marks=pytest.mark.slow)])
def test_memory_stays_flat(gibibytes, tmp_path):
    path, n = tmp_path / "scan.cxi", int(gibibytes * 2**30) // (N * N * 2)
    write_sparse(path, n)
    assert path.stat().st_size > gibibytes * 2**30
    assert path.stat().st_blocks * 512 < 100 * 2**20
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM, str(path), str(LIMIT_MIB)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["n"] == n
    assert found["total"] == 50 * 70
    assert found["MiB"] < LIMIT_MIB
