"""Intensities and likelihood of any optics between probe and detector: near field, slices."""

from typing import TYPE_CHECKING, Any

from ptycho_physics._detector_sampling import SampledFarField, collected
from ptycho_physics._forward import centring
from ptycho_physics._gradients import Gradient, misfit
from ptycho_physics._namespace import Array, abs2, namespace, times

if TYPE_CHECKING:
    from ptycho_physics.solver._propagator import Propagator


def propagated_intensity(
    patches: Array,
    probe: Array,
    propagator: "Propagator",
    *,
    sampling: int = 1,
    xp: Any | None = None,
) -> Array:
    """Return the intensity on the detector, the incoherent sum over probe modes.

    Parameters
    ----------
    patches : (b, N, N) complex array; (b, L, N, N) of slices
        Object patches.
    probe : (M, N, N) complex array
        Probe modes.
    propagator
        `NearField`, `MultiSlice`, `SampledFarField` or the solver's `FarField`.
    sampling
        Pixels of the waves along a side of a pixel of the detector.

    Returns
    -------
    (b, N / sampling, N / sampling) real array
    """
    xp = namespace(patches, probe, xp=xp)
    fields, _ = propagator.forward(patches, probe * centring(probe, xp), xp)
    return collected(xp.sum(abs2(fields, xp), axis=1), sampling, xp)


def coarse_intensity(
    patches: Array, probe: Array, sampling: int, *, xp: Any | None = None
) -> Array:
    """Return the intensity on a coarse detector in the far field: see `SampledFarField`.

    Parameters
    ----------
    patches : (b, sN, sN) complex array
        Object patches.
    probe : (M, sN, sN) or (b, M, sN, sN) complex array
        Probe modes, the same for all patterns or of each.
    sampling
        Pixels of the waves along a side of a pixel of the detector.

    Returns
    -------
    (b, N, N) real array
    """
    xp = namespace(patches, probe, xp=xp)
    optics = SampledFarField.of(sampling, probe.shape[-1], probe, xp)
    return propagated_intensity(patches, probe, optics, sampling=sampling, xp=xp)


def propagated_gradient(
    patches: Array,
    probe: Array,
    counts: Array,
    photons: float,
    propagator: "Propagator",
    mask: Array | None = None,
    *,
    background: float = 0.0,
    deviance: bool = False,
    update_probe: bool = False,
    xp: Any | None = None,
) -> Gradient:
    """Do as `likelihood_gradient` for any optics.

    Parameters
    ----------
    patches, propagator
        As in `propagated_intensity`.
    probe, counts, photons, mask, background, deviance, update_probe
        As in `likelihood_gradient`; ``counts`` of shape (b, N, N) and ``photons`` a number.

    Returns
    -------
    Gradient
        With ``object`` of the shape of ``patches``.
    """
    xp = namespace(patches, probe, counts, xp=xp)
    centred = probe * centring(probe, xp)
    fields, kept = propagator.forward(patches, centred, xp)
    rate = xp.sum(abs2(fields, xp), axis=1) * photons
    loss, excess = misfit(rate, counts, mask, background, deviance, xp)
    weight = photons * (-4 if deviance else -2)
    change = times(fields, xp.expand_dims(excess * weight, axis=1), xp)
    on_patches, on_probe = propagator.backward(
        change, patches, centred, kept, xp, probe_too=update_probe
    )
    if on_probe is not None:
        on_probe = xp.sum(on_probe, axis=0) * xp.conj(centring(probe, xp))
    return Gradient(loss=loss, object=on_patches, probe=on_probe)
