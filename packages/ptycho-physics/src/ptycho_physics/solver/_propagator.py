"""From object and probe to the waves on the detector, and back.

The solver needs nothing else of an experiment's optics: `FarField` is the one of a detector far
behind a thin object, and another one takes its place in `Estimate.propagator`.
"""

from typing import Any, Protocol

from attrs import frozen

from ptycho_physics._namespace import Array, fft2, ifft2


class Propagator(Protocol):
    """How patches and probe become waves on the detector, and how a change of these comes back.

    Zero frequency, or the centre of the image, is in the centre of the pattern, because the probe
    carries `centring`.
    """

    def forward(self, patches: Array, probe: Array, xp: Any) -> tuple[Array, Any]:
        """Return the waves on the detector, and what `backward` needs of the way there.

        Parameters
        ----------
        patches : (b, N, N) complex array
            Object patches.
        probe : (M, N, N) or (b, M, N, N) complex array
            Probe modes, the same for all patterns or of each.

        Returns
        -------
        fields : (b, M, N, N) complex array
            A new array, which may be overwritten.
        kept
        """
        ...

    def backward(
        self, change: Array, patches: Array, probe: Array, kept: Any, xp: Any, *, probe_too: bool
    ) -> tuple[Array, Array | None]:
        """Return what a change of the waves on the detector asks of patches and probe.

        Parameters
        ----------
        change : (b, M, N, N) complex array
            Wanted change of ``fields``; may be overwritten.
        patches, probe, kept
            Of `forward`.
        probe_too
            Whether the part of the probe is needed.

        Returns
        -------
        on_patches : (b, N, N) complex array
            The adjoint of the derivative of ``fields`` by the patches, applied to ``change``.
        on_probe : (b, M, N, N) complex array, or None
            That of the derivative by the probe, for each pattern.
        """
        ...


@frozen
class FarField:
    """A detector in the far field of a thin object: ``fields = F P_m O``."""

    def forward(self, patches: Array, probe: Array, xp: Any) -> tuple[Array, None]:
        """As `Propagator.forward`."""
        return fft2(patches[:, None] * probe, xp), None

    def backward(
        self,
        change: Array,
        patches: Array,
        probe: Array,
        kept: None,  # noqa: ARG002 - a thin object keeps nothing of the way there
        xp: Any,
        *,
        probe_too: bool,
    ) -> tuple[Array, Array | None]:
        """As `Propagator.backward`."""
        residual = ifft2(change, xp)
        on_probe = xp.conj(patches)[:, None] * residual if probe_too else None
        return over_modes(xp.conj(probe) * residual, xp), on_probe


def over_modes(values: Array, xp: Any) -> Array:
    """Sum (b, M, N, N) over the modes; a single mode is not copied."""
    return values[:, 0] if values.shape[1] == 1 else xp.sum(values, axis=1)
