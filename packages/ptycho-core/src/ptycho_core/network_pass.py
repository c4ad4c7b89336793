"""One pass of a trained network over a scan: what is the same in every backend."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from ptycho_config import InferenceConfig, PyTorchExecutionConfig
from ptycho_config.errors import InvalidValueError
from ptycho_data import Bundle, Reconstruction, Scan
from ptycho_physics import Canvas
from ptycho_physics.memory import require_memory

from ptycho_core.bundles import network_of
from ptycho_core.checks import check_fit, warn_if_few
from ptycho_core.networks import Networks
from ptycho_core.probe_choice import choose_probe
from ptycho_core.results import InferenceResult
from ptycho_core.sampling import inference_groups, with_positions
from ptycho_core.scan_estimate import ScanEstimate
from ptycho_core.scan_scale import mean_counts

__all__ = ["GroupsDone", "NetworkPass", "PassRequest", "reconstruct_in_one_pass"]

GroupsDone = Callable[[int, int], None]
"""Called with (groups done, groups in all)."""


@frozen(eq=False, kw_only=True)
class PassRequest:
    """What a backend needs for one pass.

    Attributes
    ----------
    bundle : Bundle
        Trained model, of either backend.
    scan : Scan
        Patterns and positions.
    groups : (g, C) int64
        Patterns of each group.
    indices : (k,) int64
        All patterns in the groups, ascending.
    probe : (M, N, N) complex64
        Probe to use.
    nphotons : float
        Mean photons per pattern of a scan of amplitudes that does not state it.
    photons : float
        Mean counts per pattern of the scan.
    start : ScanEstimate or None
        For a network that starts from an estimate of the whole scan.
    execution : PyTorchExecutionConfig
        Devices, precision, batch size, loading, patch trim.
    """

    bundle: Bundle
    scan: Scan
    groups: NDArray[np.int64]
    indices: NDArray[np.int64]
    probe: NDArray[np.complex64]
    nphotons: float
    photons: float
    start: ScanEstimate | None
    execution: PyTorchExecutionConfig


class NetworkPass(Protocol):
    """A model on its device and the canvas of a scan."""

    @property
    def canvas(self) -> Canvas:
        """Canvas of the object."""

    @property
    def used_probe(self) -> NDArray[np.complex64]:
        """Probe modes (M, N, N) in use, at unit power."""

    @property
    def main_process(self) -> bool:
        """Whether this process reports and writes, if there are several."""

    def stitch(
        self, progress: GroupsDone | None
    ) -> tuple[NDArray[np.complex64], NDArray[np.float32], float]:
        """Merge the patches of all groups into one object, after matching their global phases.

        Returns
        -------
        object_, coverage : (H, W) arrays
        waiting : float
            Seconds spent waiting for patterns.
        """

    def score(self) -> float:
        """R-factor of the stitched object over all patterns of the groups."""


def reconstruct_in_one_pass(
    open_pass: Callable[[PassRequest], AbstractContextManager[NetworkPass]],
    networks: Networks[Any],
    bundle: Bundle,
    scan: Scan,
    config: InferenceConfig,
    execution: PyTorchExecutionConfig,
    *,
    probe: NDArray[np.complex64] | None = None,
    progress: GroupsDone | None = None,
) -> InferenceResult:
    """Reconstruct the object of a scan with a trained model.

    The network's patches are merged into one object, weighted by the illumination, and divided
    once: memory does not grow with the number of patterns. The scan's own mean counts set the
    scale, so the object does not depend on the dose.

    Parameters
    ----------
    open_pass
        Opens the pass of the backend.
    networks
        Those of the backend.
    bundle
        Trained model, of either backend.
    scan
        Patterns and positions, of the size N the model was trained for unless its network accepts
        any size.
    config
        Which patterns to use; its model part is ignored in favour of the bundle's.
    execution
        Devices, precision, batch size, loading, patch trim.
    probe : (M, N, N) complex64, optional
        Probe to use. Default: the bundle's or the scan's, see `ptycho_core.probe_choice`.
    progress
        Called with (groups done, groups in all) after each step.

    Raises
    ------
    InvalidValueError
        If the backend does not know the network, bundle and scan do not match, the scan is several,
        its positions span more than fits into memory, or the network's patches, the object or its
        R-factor are not finite.
    """
    started = time.perf_counter()
    network = network_of(bundle, networks)
    trained = bundle.training_config
    check_fit(trained.model.N, scan, any_size=network.any_size)
    scan = with_positions(scan.single(), measured=trained.positions_provided)
    groups = inference_groups(scan, config, trained.model.gridsize)
    indices = np.unique(groups)
    require_memory(scan.positions[indices], scan.N)
    warn_if_few(len(indices), "the quality of the object cannot be judged")
    probe = choose_probe(bundle, scan, probe)
    photons = mean_counts(scan, indices, trained.nphotons, probe)
    start = None
    if network.starts_from_scan:
        start = ScanEstimate.of(scan, indices, probe, photons=photons, nphotons=trained.nphotons)
    request = PassRequest(
        bundle=bundle,
        scan=scan,
        groups=groups,
        indices=indices,
        probe=probe,
        nphotons=trained.nphotons,
        photons=photons,
        start=start,
        execution=execution,
    )
    with open_pass(request) as work, _outputs_of_network():
        prepared = time.perf_counter()
        object_, coverage, waiting = work.stitch(progress)
        stitched = time.perf_counter()
        _refuse_nonfinite("object", object_)
        r_factor = work.score()
        _refuse_nonfinite("R-factor", np.array(r_factor))
    scored = time.perf_counter()
    centres = work.canvas.local(scan.positions[indices])
    return InferenceResult(
        reconstruction=Reconstruction.of_scan(
            scan,
            object=object_,
            coverage=coverage,
            xcoords=centres[:, 0],
            ycoords=centres[:, 1],
            indices=indices,
            probe=work.used_probe,
            origin=np.array(work.canvas.origin),
        ),
        r_factor=r_factor,
        timings={
            "prepare": prepared - started,
            "read": waiting,
            "reconstruct": stitched - prepared - waiting,
            "score": scored - stitched,
        },
        patterns_per_second=len(indices) / (stitched - prepared),
        backend=networks.backend,
        main_process=work.main_process,
    )


@contextmanager
def _outputs_of_network() -> Iterator[None]:
    """Blame the network where its patches, the ``images`` of the phase matching, are not finite.

    NumPy's own warnings of them would only come before the error.
    """
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            yield
    except InvalidValueError as error:
        if error.name != "images":
            raise
        raise InvalidValueError("patches", error.rule, error.got, _TRAIN_AGAIN) from error


def _refuse_nonfinite(name: str, values: NDArray[Any]) -> None:
    """Refuse a result of the network that is NaN or infinity anywhere."""
    finite = np.isfinite(values)
    if not finite.all():
        bad = values.size - np.count_nonzero(finite)
        got = (
            f"NaN or infinity in {bad} of {values.size} values" if values.size > 1 else f"{values}"
        )
        raise InvalidValueError(name, "finite", got, _TRAIN_AGAIN)


_TRAIN_AGAIN = "the weights of the bundle are of an absurd size: train again"
