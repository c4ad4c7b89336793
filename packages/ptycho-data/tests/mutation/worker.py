"""Reads mutants in a process of its own, with little memory and under watch.

Usage: python -B worker.py VALID_FOLDER MEGABYTES. Each line of the input is a JSON object with
``path`` and ``original`` (the format whose valid file the mutant must equal, or null); each line of
the output says what became of it.
"""

import contextlib
import importlib
import json
import os
import resource
import sys
import time
import traceback
import warnings
from pathlib import Path

import numpy as np
from ptycho_data import (
    Scan,
    ScanFormatError,
    ScanFormatWarning,
    list_arrays,
    load_scan,
    probe_size,
    stated_photons,
    validate,
)

DECOY = 31337
STATUS, FORGET_PEAK = Path("/proc/self/status"), Path("/proc/self/clear_refs")
FORBIDDEN = ("pickle.", "subprocess.", "socket.", "os.system", "os.exec", "os.posix_spawn",
             "os.fork", "os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink",
             "os.truncate", "os.chmod", "shutil.", "exec")  # fmt: skip
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Watch:
    """Notes what a reader has no business to do."""

    def __init__(self) -> None:
        self.on = False
        self.seen: list[str] = []
        sys.addaudithook(self.look)

    def look(self, event: str, arguments: tuple[object, ...]) -> None:
        if not self.on:
            return
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING
        if writes or event.startswith(FORBIDDEN):
            self.seen.append(f"{event} {arguments!r}"[:200])


def megabytes(name: str) -> float:
    lines = STATUS.read_text("utf-8").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name + ":"))


def problem_of(scan: Scan, original: Scan | None) -> str | None:
    """Say why a scan that was accepted is none; None if it is one."""
    arrays = scan.arrays()
    for key in (
        "xcoords",
        "ycoords",
        "xcoords_start",
        "ycoords_start",
        "probeGuess",
        "objectGuess",
    ):
        if key in arrays and not np.isfinite(arrays[key]).all():
            return f"{key} is not finite"
    if not scan.probe.any():
        return "a probe without power"
    for start in range(0, min(scan.n, 64), 8):
        counts = scan.counts(np.arange(start, min(scan.n, start + 8)), nphotons=1e5)
        if not (np.isfinite(counts).all() and counts.min() >= 0):
            return "counts that are negative or not finite"
    if any(np.size(a) and np.all(np.abs(a[:1]) == DECOY) for a in arrays.values()):
        return "values of another file"
    if original is not None:
        for key, array in arrays.items():
            if not np.array_equal(array, original.arrays()[key]):
                return f"{key} is not what was written"
    return None


def read(path: Path, original: Scan | None) -> tuple[str, str]:
    """Return ``scan``, ``refused`` or ``failed``, and the message."""
    found = validate(path)
    for look in (probe_size, stated_photons, list_arrays):
        try:
            look(path)
        except ScanFormatError as error:
            if bad := bad_message(str(error), path):
                return "failed", f"{look.__name__}: {bad}"
    try:
        scan = load_scan(path)
        problem = problem_of(scan, original)
    except ScanFormatError as error:
        if not found and "in the meantime" not in str(error) and "undamaged data" not in str(error):
            return "failed", f"validate found nothing, but: {error}"
        problem = bad_message(str(error), path)
        return ("failed", problem) if problem else ("refused", str(error))
    if found:
        return "failed", f"loaded, but validate says {found[0]}"
    return ("failed", problem) if problem else ("scan", "")


def bad_message(text: str, path: Path) -> str | None:
    """A message names the file, on one line, and does not tell a novel."""
    if "\n" in text or len(text) > 4000 or path.parent.name not in text:
        return f"no clear message: {text[:500]!r}"
    return None


def main() -> None:
    warnings.simplefilter("error")
    warnings.simplefilter("ignore", ScanFormatWarning)
    folder, limit = Path(sys.argv[1]), float(sys.argv[2])
    originals = {path.parent.name: load_scan(path) for path in folder.glob("*/scan.npz")}
    for path in sorted(folder.glob("*/*")):  # what is imported late is imported now
        read(path, None)
    with contextlib.suppress(ImportError):
        importlib.import_module("hdf5plugin")  # a file with a filter that is missing asks for it
    watch = Watch()
    allocated = int((megabytes("VmData") + limit) * 2**20)
    resource.setrlimit(resource.RLIMIT_DATA, (allocated, allocated))
    for line in sys.stdin:
        job = json.loads(line)
        FORGET_PEAK.write_text("5", "ascii")
        before, start = megabytes("VmRSS"), time.process_time()
        watch.seen.clear()
        watch.on = True
        try:
            outcome, message = read(Path(job["path"]), originals.get(job["original"]))
        except BaseException:
            outcome, message = "failed", traceback.format_exc()[-2000:]
        watch.on, seconds = False, time.process_time() - start
        if watch.seen:
            outcome, message = "failed", f"did what a reader must not: {watch.seen[:3]}"
        answer = {"outcome": outcome, "message": message, "seconds": seconds}
        answer["megabytes"] = megabytes("VmHWM") - before
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
