"""A simulated scan: photon counts behind a known object."""

import numpy as np
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError

from ptycho_physics._forward import intensity, probe_intensity
from ptycho_physics._patches import extract_patches
from ptycho_physics.noise import poisson_noise, read_out


def simulate_counts(
    object: NDArray[np.complexfloating],  # noqa: A002 -- the field's own word for it
    probe: NDArray[np.complexfloating],
    positions: NDArray[np.floating],
    photons: float,
    seed: int,
    *,
    read_noise: float = 0.0,
    saturation: float | None = None,
    bad_pixels: NDArray[np.bool_] | None = None,
    batch: int = 64,
) -> NDArray[np.float32]:
    """Simulate the photon counts of a scan, with Poisson noise and the errors of a detector.

    NumPy only. Memory beyond the result is that of ``batch`` patterns; the counts do not depend
    on ``batch``.

    Parameters
    ----------
    object : (H, W) complex array
        Transmission of the sample.
    probe : (M, N, N) complex array
        Probe modes; only their relative power matters.
    positions : (n, 2) real array
        Patch centres ``(x, y)`` in object pixels, sampled bilinearly.
    photons
        Expected counts per pattern, averaged over the scan, > 0.
    seed
        Seed of the noise.
    read_noise, saturation, bad_pixels
        Properties of the detector, as in `read_out`.
    batch
        Patterns computed at a time.

    Returns
    -------
    (n, N, N) float32 array
        Counts; zero frequency at pixel ``[N//2, N//2]``.

    Raises
    ------
    InvalidValueError
        If a shape does not fit, a value is not finite, ``photons`` is not positive, a patch
        leaves the object, or no light passes the object.

    Examples
    --------
    >>> from ptycho_physics import defocused_probe, fermat_scan, siemens_star
    >>> star = siemens_star((64, 72))
    >>> positions = fermat_scan(star.shape, 32, number=20)
    >>> counts = simulate_counts(star, defocused_probe(32), positions, photons=1e4, seed=0)
    >>> counts.shape, f"{counts.sum(axis=(1, 2)).mean():.1e}"
    ((20, 32, 32), '1.0e+04')
    """
    _check(object, probe, positions, photons, batch)
    N, n = probe.shape[-1], len(positions)
    centres = np.asarray(positions, dtype=np.float64)
    scale = photons / _mean_transmitted(object, probe, centres, batch)
    photon_noise, electronics = np.random.default_rng(seed), np.random.default_rng((seed, 1))
    counts = np.empty((n, N, N), dtype=np.float32)
    for start in range(0, n, batch):
        stop = min(start + batch, n)
        patches = extract_patches(object, centres[start:stop], N)
        rate = np.asarray(intensity(patches, probe), dtype=np.float64) * scale
        counts[start:stop] = read_out(
            poisson_noise(rate, photon_noise),
            electronics,
            read_noise=read_noise,
            saturation=saturation,
            bad_pixels=bad_pixels,
        )
    return counts


def _mean_transmitted(
    object: NDArray[np.complexfloating],  # noqa: A002 -- the field's own word for it
    probe: NDArray[np.complexfloating],
    positions: NDArray[np.float64],
    batch: int,
) -> float:
    """Return the mean intensity per pattern; by Parseval's theorem no FFT is needed."""
    light = np.asarray(probe_intensity(probe), dtype=np.float64)
    total = 0.0
    for start in range(0, len(positions), batch):
        patches = extract_patches(object, positions[start : start + batch], probe.shape[-1])
        total += float(np.einsum("nij,ij->", patches.real**2 + patches.imag**2, light))
    if not total > 0:
        rule = "nonzero somewhere under the probe"
        raise InvalidValueError("object", rule, "no transmitted light at any position")
    return total / len(positions)


def _check(
    object: NDArray[np.complexfloating],  # noqa: A002 -- the field's own word for it
    probe: NDArray[np.complexfloating],
    positions: NDArray[np.floating],
    photons: float,
    batch: int,
) -> None:
    if np.ndim(object) != 2:
        raise InvalidValueError("object", "an (H, W) array", f"shape {np.shape(object)}")
    if np.ndim(probe) != 3 or probe.shape[-1] != probe.shape[-2]:
        raise InvalidValueError("probe", "an (M, N, N) array", f"shape {np.shape(probe)}")
    if np.ndim(positions) != 2 or positions.shape[1] != 2 or len(positions) == 0:
        rule = "an (n, 2) array with n >= 1"
        raise InvalidValueError("positions", rule, f"shape {np.shape(positions)}")
    for name, array in (("object", object), ("probe", probe), ("positions", positions)):
        if not np.all(np.isfinite(array)):
            raise InvalidValueError(name, "finite", "NaN or infinity")
    if not 0 < photons < np.inf:
        raise InvalidValueError("photons", "> 0 and finite", f"{photons:g}")
    if batch < 1:
        raise InvalidValueError("batch", ">= 1", str(batch))
