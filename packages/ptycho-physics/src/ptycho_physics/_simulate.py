"""A simulated scan: photon counts behind a known object."""

import numpy as np
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError

from ptycho_physics._detector_sampling import check_sampling
from ptycho_physics._forward import intensity, probe_intensity
from ptycho_physics._multislice import Slices
from ptycho_physics._patches import extract_patches
from ptycho_physics._propagated import propagated_intensity
from ptycho_physics.noise import poisson_noise, read_out
from ptycho_physics.solver._optics import propagator_of


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
    near_field: float | None = None,
    slices: Slices | None = None,
    border: int = 0,
    detector_sampling: int = 1,
    batch: int = 64,
) -> NDArray[np.float32]:
    """Simulate the photon counts of a scan, with Poisson noise and the errors of a detector.

    NumPy only. Memory beyond the result is that of ``batch`` patterns; the counts do not depend
    on ``batch``.

    Parameters
    ----------
    object : (H, W) complex array; (L, H, W) of slices
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
    near_field
        Fresnel number of a pixel, for a detector in the near field: see `NearFieldGeometry`.
    slices : Slices
        The slices of a thick sample, as many as the ``object`` has.
    border
        Pixels at each side of a pattern that the detector does not have: from there, light reaches
        a near-field pattern.
    detector_sampling
        Pixels of the waves along a side of a pixel of a coarse detector: see `SampledFarField`.
    batch
        Patterns computed at a time.

    Returns
    -------
    (n, N, N) float32 array
        Counts; zero frequency at pixel ``[N//2, N//2]``. N is smaller by twice the ``border``, or
        by the factor ``detector_sampling``.

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
    _check_optics(object, probe, slices, border)
    _check_detector(probe, detector_sampling, near_field)
    N, n = (probe.shape[-1] - 2 * border) // detector_sampling, len(positions)
    centres = np.asarray(positions, dtype=np.float64)
    inner = slice(border, border + N)

    def light(which: slice) -> NDArray[np.float64]:
        if near_field is None and slices is None and detector_sampling == 1:
            found = intensity(extract_patches(object, centres[which], probe.shape[-1]), probe)
        else:
            found = _behind(object, probe, centres[which], near_field, slices, detector_sampling)
        return np.asarray(found, dtype=np.float64)[:, inner, inner]

    if near_field is None and slices is None and not border:
        mean = _mean_transmitted(object, probe, centres, batch)
    else:
        mean = sum(float(light(slice(i, i + batch)).sum()) for i in range(0, n, batch)) / n
    if not mean > 0:
        rule = "nonzero somewhere under the probe"
        raise InvalidValueError("object", rule, "no transmitted light at any position")
    scale = photons / mean
    photon_noise, electronics = np.random.default_rng(seed), np.random.default_rng((seed, 1))
    counts = np.empty((n, N, N), dtype=np.float32)
    for start in range(0, n, batch):
        stop = min(start + batch, n)
        counts[start:stop] = read_out(
            poisson_noise(light(slice(start, stop)) * scale, photon_noise),
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
    return total / len(positions)


def _behind(
    object: NDArray[np.complexfloating],  # noqa: A002 -- the field's own word for it
    probe: NDArray[np.complexfloating],
    positions: NDArray[np.float64],
    near_field: float | None,
    slices: Slices | None,
    sampling: int,
) -> NDArray[np.floating]:
    """Return the intensity (b, N, N) behind a thick object, or in the near field."""
    N = probe.shape[-1]
    optics = propagator_of(N, probe, np, near_field=near_field, slices=slices, sampling=sampling)
    levels = object if object.ndim == 3 else object[None]
    patches = [extract_patches(level, positions, N) for level in levels]
    several = np.stack(patches, axis=1) if len(patches) > 1 else patches[0]
    return np.asarray(propagated_intensity(several, probe, optics, sampling=sampling))


def _check_detector(
    probe: NDArray[np.complexfloating], sampling: int, near_field: float | None
) -> None:
    check_sampling(sampling)
    if probe.shape[-1] % sampling:
        rule = f"a divisor of {probe.shape[-1]}, the side of the probe"
        raise InvalidValueError("detector_sampling", rule, f"{sampling}")
    if sampling > 1 and near_field is not None:
        rule = "1 in the near field, where a pattern is an image"
        raise InvalidValueError("detector_sampling", rule, f"{sampling}")


def _check_optics(
    object: NDArray[np.complexfloating],  # noqa: A002 -- the field's own word for it
    probe: NDArray[np.complexfloating],
    slices: Slices | None,
    border: int,
) -> None:
    shape = "(H, W)" if slices is None else f"({slices.number}, H, W)"
    if object.shape[:-2] != (() if slices is None else (slices.number,)):
        raise InvalidValueError("object", f"of shape {shape}", f"shape {object.shape}")
    if not 0 <= 2 * border < probe.shape[-1]:
        raise InvalidValueError("border", f"less than half of {probe.shape[-1]}", f"{border}")


def _check(
    object: NDArray[np.complexfloating],  # noqa: A002 -- the field's own word for it
    probe: NDArray[np.complexfloating],
    positions: NDArray[np.floating],
    photons: float,
    batch: int,
) -> None:
    if np.ndim(object) not in (2, 3):
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
