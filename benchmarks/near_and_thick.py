"""Near field and thick samples, simulated on a finer and larger grid, and solved.

    python benchmarks/near_and_thick.py --figures docs
    python benchmarks/near_and_thick.py --only near

Near field: images of a whole field behind a diffuser, at Fresnel numbers of a pixel from 0.01 to 1.
The waves are propagated on a grid of half the pixel, in twice the field, and a detector pixel is
where its centre is; the probe is known inside the detector alone. Thick: two objects that lie 20
depths of focus apart, of wave propagation on a grid of half the pixel in a wider field. The
patterns have a window of 128 pixels for a beam of 96; ``--window 96`` leaves no room for light that
spreads between the objects.

Prints correlation with the truth, crosstalk and CPU seconds. Crosstalk is the part of the other
object in the phase of a slice: coefficients of both, and of a ramp, by least squares. Patterns do
not tell ramps in opposite directions from a small shift of one slice. The exit code is 1 if a
figure misses its bound.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from ptycho_physics import (
    Slices,
    Solution,
    angular_spectrum_propagate,
    compare,
    defocused_probe,
    fermat_scan,
    fresnel_propagate,
    random_cells,
    siemens_star,
    solve,
    speckle_probe,
)

Complex = NDArray[np.complexfloating]
FINE = 2
BEAM = 96
BOUND, CROSSTALK = 0.99, 0.05


@frozen(kw_only=True)
class Result:
    """A line of the table, and what is drawn of it."""

    name: str
    correlation: float
    crosstalk: float | None
    seconds: float
    pictures: tuple[Complex, ...]

    @property
    def missed(self) -> bool:
        """Whether a figure misses its bound."""
        return self.correlation < BOUND or (self.crosstalk or 0.0) > CROSSTALK


def near_field(number: float, epochs: int, known: bool) -> Result:
    """Solve 16 images of 128 x 128 pixels of 1000 photons each."""
    N, side, n = 128, 288, 16
    star = np.angle(siemens_star((side * FINE, side * FINE)))
    sample = np.exp(0.8j * star / np.ptp(star))
    beam = speckle_probe(side * FINE, 2.4 * FINE, seed=1)[0] * side * FINE
    random = np.random.default_rng(0)
    positions = np.rint(side / 2 + random.uniform(-16, 16, size=(n, 2)))
    counts = np.empty((n, N, N), np.float32)
    inner = side * FINE // 2 + FINE * (np.arange(N) - N // 2)
    for image, (x, y) in zip(counts, positions, strict=True):
        shift = (side * FINE // 2 - int(y) * FINE, side * FINE // 2 - int(x) * FINE)
        field = np.roll(sample, shift, (0, 1)) * beam
        field = fresnel_propagate(field, 1 / number, wavelength=1.0, pixel_size=1 / FINE)
        image[:] = random.poisson(1000 * np.abs(field[np.ix_(inner, inner)]) ** 2)
    probe = beam[np.ix_(inner, inner)] if known else np.ones((N, N))
    begun = time.process_time()
    solution = solve(
        counts,
        positions,
        probe[None].astype(np.complex64),
        near_field=number,
        epochs=epochs,
        batch_size=4,
        update_probe=True,  # it is known inside the detector at most
        probe_start=1,
    )
    seconds = time.process_time() - begun
    truth = sample[::FINE, ::FINE]
    window = window_of(solution, positions)
    found = solution.object[window[0]]
    quality = compare(found, truth[window[1]], remove_ramp=True)
    kind = "known beam" if known else "beam unknown"
    name = f"near field, F = {number:g}, {kind}"
    return Result(name=name, correlation=quality.correlation, crosstalk=None, seconds=seconds,
                  pictures=(counts[0], found))  # fmt: skip


def window_of(solution: Solution, positions: NDArray[np.float64]) -> tuple[tuple[slice, ...], ...]:
    """Return the pixels to compare, on the canvas and on the grid of the positions.

    In the near field, where every pattern lights a whole patch, those that all patterns saw;
    otherwise the box of the positions.
    """
    N, (x0, y0) = solution.probe.shape[-1], solution.canvas.origin
    low = np.ceil(positions.max(axis=0)).astype(int) - N // 2
    high = np.floor(positions.min(axis=0)).astype(int) + N // 2
    if solution.slices is not None:
        low, high = np.ceil(positions.min(axis=0)), np.floor(positions.max(axis=0))
    (x1, y1), (x2, y2) = low.astype(int), high.astype(int)
    on_canvas = (slice(y1 - y0, y2 - y0), slice(x1 - x0, x2 - x0))
    return on_canvas, (slice(y1, y2), slice(x1, x2))


def thick(depths: float, epochs: int, window: int) -> Result:
    """Solve 300 patterns of 1e6 photons, of two objects one after the other.

    The beam is the same in every window.
    """
    N, side, n = window, window + 74, 300
    slices = Slices(number=2, thickness=depths * 4 / 0.01, wavelength=0.01, pixel_size=1.0)
    shape = (side * FINE, side * FINE)
    images = (siemens_star(shape), random_cells(shape, seed=1, radius=(8.0 * FINE, 20.0 * FINE)))
    phases = [np.angle(image) for image in images]
    fine = np.stack([np.exp(0.5j * phase / np.ptp(phase)) for phase in phases])
    objects = fine[:, ::FINE, ::FINE]
    room = (N - BEAM) // 2
    probe = np.pad(defocused_probe(BEAM), ((0, 0), (room, room), (room, room)))
    positions = np.rint(fermat_scan((side, side), N, number=n))
    counts = patterns(fine, probe[0], positions, slices)
    begun = time.process_time()
    solution = solve(counts, positions, probe, slices=slices, epochs=epochs)
    seconds = time.process_time() - begun
    on_canvas, on_grid = window_of(solution, positions)
    found = solution.slices[(slice(None), *on_canvas)]
    truth = objects[(slice(None), *on_grid)]
    crossed, found = crosstalk(found, truth)
    pairs = zip(found, truth, strict=True)
    correlation = min(compare(one, other).correlation for one, other in pairs)
    return Result(
        name=f"two objects, {depths:g} depths of focus apart",
        correlation=correlation,
        crosstalk=crossed,
        seconds=seconds,
        pictures=tuple(found),
    )


def patterns(
    objects: Complex, probe: Complex, positions: NDArray[np.float64], slices: Slices
) -> NDArray[np.float32]:
    """Return counts behind two objects, of waves on a grid of half the pixel in a wider field."""
    N, random = probe.shape[-1], np.random.default_rng(0)
    wide = np.pad(probe, N // 2)  # twice the field, of the same pixel
    spectrum = np.fft.fftshift(np.fft.fft2(wide))
    fine = np.fft.ifft2(np.fft.ifftshift(np.pad(spectrum, N))) * FINE**2  # half the pixel
    counts = np.empty((len(positions), N, N), np.float32)
    reach = N * FINE
    padded = np.pad(objects, ((0, 0), (reach, reach), (reach, reach)), constant_values=1)
    for image, (x, y) in zip(counts, positions * FINE, strict=True):
        front, back = padded[:, int(y) : int(y) + 2 * reach, int(x) : int(x) + 2 * reach]
        wave = angular_spectrum_propagate(
            fine * front, slices.thickness, wavelength=slices.wavelength, pixel_size=1 / FINE
        )
        field = np.fft.fftshift(np.fft.fft2(wave * back))
        middle = field.shape[0] // 2
        # every other frequency of a field of twice the width is one of the detector
        half = slice(middle - N, middle + N, 2)
        image[:] = np.abs(field[half, half]) ** 2
    counts *= 1e6 / counts.sum(axis=(1, 2)).mean()
    return random.poisson(counts).astype(np.float32)


def crosstalk(found: Complex, truth: Complex) -> tuple[float, Complex]:
    """Return the largest part of the other object in a slice, and the slices without ramp."""
    rows, columns = np.indices(found.shape[1:]) - np.reshape(found.shape[1:], (2, 1, 1)) / 2
    ramp = np.stack([np.ones(rows.size), columns.ravel(), rows.ravel()])
    known = np.concatenate([[np.angle(one).ravel() for one in truth], ramp]).T
    parts, flat = [], []
    for which, one in enumerate(found):
        phase = np.angle(one * np.exp(-1j * np.angle(one.mean()))).ravel()
        coefficients = np.linalg.lstsq(known, phase, rcond=None)[0]
        parts.append(abs(coefficients[1 - which] / coefficients[which]))
        flat.append(one * np.exp(-1j * (coefficients[2:] @ ramp).reshape(one.shape)))
    return float(max(parts)), np.stack(flat)


def results(only: str, window: int) -> Iterator[Result]:
    """Make all cases whose name contains a text."""
    if only in "near":
        for number, epochs in ((0.01, 20), (0.1, 40), (1.0, 400)):
            yield near_field(number, epochs, known=True)
        yield near_field(0.05, 60, known=False)
    if only in "thick":
        yield thick(20, 40, window)


def draw(folder: Path, found: list[Result]) -> None:
    """Draw images, and phases of what was found, as ``near-field.png`` and ``slices.png``."""
    from matplotlib.figure import Figure

    for name, chosen in (
        ("near-field", [one for one in found if one.crosstalk is None]),
        ("slices", [one for one in found if one.crosstalk is not None]),
    ):
        if not chosen:
            continue
        figure = Figure(figsize=(2.6 * len(chosen), 5.4), layout="constrained")
        axes = figure.subplots(2, len(chosen), squeeze=False)
        for column, one in zip(axes.T, chosen, strict=True):
            for ax, image in zip(column, one.pictures, strict=True):
                values = np.angle(image) if np.iscomplexobj(image) else image
                ax.imshow(values, cmap="gray", interpolation="nearest")
                ax.set_axis_off()
            column[0].set_title(one.name.replace(", ", "\n"), fontsize=9)
        figure.savefig(folder / f"{name}.png", dpi=110)


def main() -> int:
    """Solve all cases and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=("near", "thick"), default="")
    parser.add_argument(
        "--window", type=int, default=128, help="pixels of a thick sample's patterns"
    )
    parser.add_argument("--figures", type=Path, help="folder for pictures")
    options = parser.parse_args()
    found = []
    print("| case | correlation | crosstalk | CPU s |\n|---|---|---|---|")
    for one in results(options.only, options.window):
        crossed = "" if one.crosstalk is None else f"{one.crosstalk:.3f}"
        line = f"| {one.name} | {one.correlation:.4f} | {crossed} | {one.seconds:.0f} |"
        print(line, "missed" if one.missed else "", flush=True)
        found.append(one)
    if options.figures is not None:
        draw(options.figures, found)
    return int(any(one.missed for one in found))


if __name__ == "__main__":
    sys.exit(main())
