"""Simulate a scan of a thick crystal by electrons with abTEM, in an environment of its own.

python write_abtem.py FOLDER

A probe of 300 kV and 20 mrad, defocused, moves over 20 nm of silicon [001]. A sixth of the columns
of atoms is missing: without that, a flipped or swapped axis would not show. abTEM computes from
atoms, in slices of 1.4 A and on a grid of half the pixel, in a cell as wide as the window of the
patterns. ``scan.npz`` holds counts of 1e6 electrons per pattern, ``potential.npy`` the truth: the
phase of the projected potential, on the grid of the positions.
"""

import json
import sys
from pathlib import Path

import abtem
import numpy as np
from abtem.core.energy import energy2sigma
from ase import Atoms
from ase.build import bulk

N, FINE, CELLS, EDGE, LAYERS = 96, 2, 5, 5.431, 37
ENERGY, SEMIANGLE, DEFOCUS, ELECTRONS = 300e3, 20.0, 200.0, 1e6
STEP, SIDE = 1.0, 18  # angstroms, positions


def crystal() -> Atoms:
    """Return silicon without some of its columns, chosen at random."""
    atoms = bulk("Si", cubic=True, a=EDGE) * (CELLS, CELLS, LAYERS)
    places = np.rint(atoms.positions[:, :2] * 4 / EDGE).astype(int)
    columns, column = np.unique(places, axis=0, return_inverse=True)
    missing = np.random.default_rng(1).permutation(len(columns))[: len(columns) // 6]
    return atoms[~np.isin(column.ravel(), missing)]


def cropped(spectrum: np.ndarray) -> np.ndarray:
    """Return the N x N lowest frequencies, of axes (x, y), as (row, column); zero is at N//2."""
    first = spectrum.shape[-1] // 2 - N // 2
    return np.swapaxes(spectrum[..., first : first + N, first : first + N], -1, -2)


def coarse(image: np.ndarray) -> np.ndarray:
    """Return an image (x, y) on the grid of the object, as (row, column)."""
    spectrum = cropped(np.fft.fftshift(np.fft.fft2(image)))
    return np.fft.ifft2(np.fft.ifftshift(spectrum)) / FINE**2


def main() -> None:
    """Write the scan and the potential."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    abtem.config.set({"diagnostics.progress_bar": False})
    width = CELLS * EDGE
    pixel = width / N
    potential = abtem.Potential(crystal(), gpts=N * FINE, slice_thickness=EDGE / 4).build()
    potential = potential.compute(scheduler="single-threaded")
    probe = abtem.Probe(energy=ENERGY, semiangle_cutoff=SEMIANGLE, defocus=DEFOCUS)
    probe.grid.match(potential)
    places = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE)), axis=-1).reshape(-1, 2)
    random = np.random.default_rng(0)
    places = width / 2 + STEP * (places - (SIDE - 1) / 2 + random.uniform(-0.3, 0.3, places.shape))
    waves = probe.multislice(potential, scan=abtem.CustomScan(places), max_batch=16)
    patterns = waves.diffraction_patterns(max_angle=None, block_direct=False)
    rates = cropped(np.asarray(patterns.compute(scheduler="single-threaded").array))
    rates *= ELECTRONS / rates.sum(axis=(1, 2)).mean()
    beam = probe.build(scan=(width / 2, width / 2), lazy=False)
    np.savez(
        folder / "scan.npz",
        diffraction=random.poisson(rates).astype(np.uint32),
        xcoords=places[:, 0] / pixel,
        ycoords=places[:, 1] / pixel,
        probeGuess=coarse(np.squeeze(beam.array)).astype(np.complex64),
        domain="counts",
        pixel_size_m=pixel * 1e-10,
        _metadata=json.dumps({"photon_energy_eV": ENERGY, "particle": "electron"}),
    )
    phase = energy2sigma(ENERGY) * np.asarray(potential.project().array)
    np.save(folder / "potential.npy", coarse(phase).real)


if __name__ == "__main__":
    main()
