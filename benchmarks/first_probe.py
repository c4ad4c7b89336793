"""First probes and orientations found from the patterns, on scans with known answers.

    python benchmarks/first_probe.py DATA_FOLDER beamline_h5.py
    python benchmarks/first_probe.py --only electron

No scan keeps its probe. DATA_FOLDER holds the two public files that `real_data.py` names; without
it those cases are left out. The second argument is a program that writes the scan of a beamline
with NumPy alone: ``scan_0042.h5`` and ``truth.npz`` for a seed. Its positions are taken as the
motors state them, so that the orientation must be found, too. Prints a table with the CPU seconds
of search and refinement, R-factor over photon noise, and correlation with the truth up to the twin,
measured after `solve_scan` with the found probe. The exit code is 1 if a figure misses its bound.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
from attrs import evolve, frozen
from numpy.typing import NDArray
from ptycho_core.first_probe.search import FirstProbe, find_first_probe, judged_probe
from ptycho_core.first_probe.sources import first_probe_of
from ptycho_core.preparing.orientation import find_orientation, oriented
from ptycho_core.preparing.rotation import find_rotation, turned
from ptycho_core.solving.call import solve_scan
from ptycho_data import Reconstruction, Scan
from ptycho_data.units import object_pixel
from ptycho_physics import compare, random_cells, simulate_counts, snake_scan
from ptycho_physics.optics import electron_probe
from scipy.ndimage import gaussian_filter, map_coordinates

Complex = NDArray[np.complexfloating]
#: 300 kV: wavelength in metres, convergence semi-angle, defocus.
ELECTRONS = {"wavelength_m": 1.96875e-12, "semi_angle_rad": 1.03e-3, "defocus_m": -13.5e-6}
ELECTRON_OPTICS = "electron:angle=1.03mrad,defocus=-13.5um"
ELECTRON_PIXEL = 0.2e-9


@frozen(kw_only=True)
class Case:
    """A scan without its probe.

    Attributes
    ----------
    name
        In the table.
    scan
        With the wrong probe, and `probe_made`.
    truth
        Object over the box of the positions; None if it is unknown.
    correlation, ratio
        Bounds of the correlation and of R-factor over noise.
    source
        Argument of ``--first-probe``, or ``orientation`` or ``rotation`` for both together.
    epochs
        Of the solver, after the probe was found.
    """

    name: str
    scan: Scan
    truth: Complex | None = None
    correlation: float = 0.0
    ratio: float = np.inf
    source: str = "auto"
    epochs: int = 20


def blind(scan: Scan) -> Scan:
    """Return a scan whose probe says nothing."""
    return evolve(scan, probe=np.ones_like(scan.probe[:1]), probe_made=True)


def boxed(rec: Reconstruction) -> Complex:
    """Cut an object to the box of its patch centres."""
    (x0, y0), (x1, y1) = np.ceil(rec.positions.min(axis=0)), np.floor(rec.positions.max(axis=0))
    return np.asarray(rec.object[int(y0) : int(y1), int(x0) : int(x1)])


def up_to_the_twin(found: Complex, truth: Complex) -> float:
    """Correlation of an object or of its twin with the truth, whichever is higher."""
    rows, columns = (min(sizes) for sizes in zip(found.shape, truth.shape, strict=True))
    pair = (found, found[::-1, ::-1].conj())
    return max(
        compare(one[:rows, :columns], truth[:rows, :columns], remove_ramp=True).correlation
        for one in pair
    )


def electron_cases() -> Iterator[Case]:
    """Simulate a defocused electron probe at few counts, 256 pixels."""
    N = 256
    probe = electron_probe(N, pixel_size_m=ELECTRON_PIXEL, **ELECTRONS)
    truth = np.exp(0.4j * np.angle(random_cells((370, 370), radius=(5, 25), seed=3)))
    positions = snake_scan(truth.shape, N, number=49, jitter=0.5, seed=4)
    for counts in (0.1, 1.0):
        patterns = simulate_counts(truth, probe, positions, counts * N * N, seed=5)
        scan = Scan(
            diffraction=patterns,
            xcoords=positions[:, 0],
            ycoords=positions[:, 1],
            probe=probe,
            domain="counts",
            particle="electron",
            photon_energy_ev=300e3,
            pixel_size_m=ELECTRON_PIXEL,
        )
        (x0, y0), (x1, y1) = np.ceil(positions.min(axis=0)), np.floor(positions.max(axis=0))
        seen = truth[int(y0) : int(y1), int(x0) : int(x1)]
        for source in ("auto", ELECTRON_OPTICS):
            name = f"electrons, {counts:g} per pixel, {source.partition(':')[0]}"
            yield Case(name=name, scan=blind(scan), truth=seen, source=source, epochs=12,
                       correlation=0.9)  # fmt: skip
        for degrees in (17, -83):
            stage = turned(scan, -degrees)
            for how, one in (("auto", blind(stage)), ("electron", stage)):
                name = f"electrons, {counts:g} per pixel, turned by {degrees}, {how}"
                yield Case(name=name, scan=one, truth=seen, source="rotation", epochs=12,
                           correlation=0.9)  # fmt: skip


def real_cases(folder: Path) -> Iterator[Case]:
    """Measured patterns of the star, and the simulated ones of run1084."""
    with np.load(folder / "siemens_top.npz") as raw:
        rows, columns = raw["scan_rowcol_px"].T
        star = Scan(
            diffraction=np.fft.fftshift(raw["counts"], axes=(-2, -1)),
            xcoords=columns,
            ycoords=rows,
            probe=raw["probe"],
            domain="counts",
        )
    # 1.26 with the probe of the file, refined
    yield Case(name="Siemens star", scan=blind(star), ratio=1.05 * 1.26, epochs=40)
    with np.load(folder / "run1084.npz") as raw:
        truth, x, y = raw["objectGuess"], raw["xcoords"], raw["ycoords"]
        probe = raw["probeGuess"]
    positions = np.stack([x, y], axis=1)
    positions -= np.floor(positions.min(axis=0)) - 32
    for photons, correlation in ((1e6, 0.99), (1e4, 0.97)):
        probe = probe.reshape(-1, 64, 64).astype(np.complex64)
        patterns = simulate_counts(truth, probe, positions, photons, seed=1)
        scan = Scan(diffraction=patterns, xcoords=positions[:, 0], ycoords=positions[:, 1],
                    probe=probe, domain="counts")  # fmt: skip
        (x0, y0), (x1, y1) = np.ceil(positions.min(axis=0)), np.floor(positions.max(axis=0))
        seen = truth[int(y0) : int(y1), int(x0) : int(x1)]
        yield Case(name=f"run1084, {photons:g} photons", scan=blind(scan), truth=seen,
                   correlation=correlation, epochs=10)  # fmt: skip


def beamline_cases(program: Path) -> Iterator[Case]:
    """Make scans of a zone plate, with positions as the motors state them."""
    row, column, N, energy = 77, 101, 128, 8800.0
    cut = np.s_[row - N // 2 : row + N // 2, column - N // 2 : column + N // 2]
    pixel = object_pixel(energy, 2.2, 75e-6, N)
    for seed in range(1, 6):
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, program, folder, str(seed)]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603  as given
            with h5py.File(Path(folder) / "scan_0042.h5") as file:
                bad = file["entry/instrument/detector/pixel_mask"][()][cut] > 0
                frames = file["entry/data/data"][(slice(None), *cut)]
                motors = [file[f"entry/data/sam{axis}"][()] * 1e-6 / pixel for axis in "xy"]
            with np.load(Path(folder) / "truth.npz") as known:
                fine, cx, cy = known["obj"], known["cx"], known["cy"]
        scan = Scan(
            diffraction=np.where(bad, 0, frames),
            xcoords=motors[0],
            ycoords=motors[1],
            probe=np.ones((1, N, N), np.complex64),
            domain="counts",
            bad_pixels=bad,
            photon_energy_ev=energy,
            pixel_size_m=pixel,
            probe_made=True,
        )
        # the truth has pixels of half the size: sampled where the beam was
        smooth = gaussian_filter(fine.real, 1) + 1j * gaussian_filter(fine.imag, 1)
        x, y = (
            np.arange(np.ceil(cx.min() / 2), cx.max() / 2),
            np.arange(np.ceil(cy.min() / 2), cy.max() / 2),
        )
        grid = [2 * axis for axis in np.meshgrid(y, x, indexing="ij")]
        truth = map_coordinates(smooth.real, grid, order=1) + 1j * map_coordinates(
            smooth.imag, grid, order=1
        )
        yield Case(name=f"beamline, seed {seed}", scan=scan, truth=truth, correlation=0.99,
                   source="orientation")  # fmt: skip


def found_probe(case: Case) -> tuple[Scan, FirstProbe | None]:
    """Return the scan with its found orientation, and the probe."""
    if case.source == "auto":
        return case.scan, find_first_probe(case.scan)
    if case.source == "rotation":
        turn = find_rotation(case.scan)
        right = turned(case.scan, turn.degrees, mirrored=turn.mirrored)
        known = None if case.scan.probe_made else judged_probe(right, right.probe)
        return right, turn.first_probe or known
    if case.source != "orientation":
        return case.scan, first_probe_of(case.scan, case.source)
    found = find_orientation(case.scan)
    return oriented(case.scan, found.symmetry), found.first_probe


def measured(case: Case) -> tuple[str, bool]:
    """Return a row of the table, and whether the bounds are met."""
    start = time.process_time()
    scan, found = found_probe(case)
    searched = time.process_time() - start
    if found is None:
        return f"| {case.name} | not decided | | | {searched:.0f} | |", False
    better = evolve(scan, probe=found.probe, probe_made=False)
    result = solve_scan(
        better, epochs=case.epochs, update_probe=True, batch_size=32, progress=False
    )
    total = time.process_time() - start
    ratio = result.verdict.ratio or np.inf
    score = "" if case.truth is None else up_to_the_twin(boxed(result.reconstruction), case.truth)
    met = ratio <= case.ratio and (score == "" or score >= case.correlation)
    shown = score if score == "" else f"{score:.4f}"
    defocus = "" if found.defocus_m is None else f"{found.defocus_m * 1e6:.4g}"
    row = f"| {case.name} | {defocus} | {ratio:.2f} | {shown} | {searched:.0f} | {total:.0f} |"
    return row, met


def main() -> int:
    """Measure all cases, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("beamline", type=Path, nargs="?")
    parser.add_argument("--only", default="", help="part of the names of the cases")
    given = parser.parse_args()
    groups: list[Callable[[], Iterator[Case]]] = [electron_cases]
    if given.data is not None:
        groups.append(lambda: real_cases(given.data))
    if given.beamline is not None:
        groups.append(lambda: beamline_cases(given.beamline))
    print("| scan | defocus / um | R over noise | correlation | CPU s, probe | CPU s, all |")
    print("|---|---|---|---|---|---|")
    failed = False
    for group in groups:
        for case in group():
            if given.only not in case.name:
                continue
            row, met = measured(case)
            failed |= not met
            print(row if met else f"{row} missed", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
