"""Inference: one streaming pass from a scan to its object."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from attrs import evolve, frozen
from numpy.typing import NDArray
from ptycho_config import InferenceConfig, PyTorchExecutionConfig
from ptycho_core.batches import chunks, places_in_step
from ptycho_core.checks import check_fit, warn_if_few
from ptycho_core.probe_choice import choose_probe
from ptycho_core.read_ahead import read_ahead
from ptycho_core.results import InferenceResult
from ptycho_core.sampling import inference_groups, inference_steps, with_positions
from ptycho_core.scan_scale import mean_counts
from ptycho_data import Bundle, Reconstruction, Scan
from ptycho_physics import (
    Canvas,
    Mosaic,
    input_scale,
    probe_weight,
    r_factor_sums,
    stitched_object,
)

from ptycho_tf import namespace
from ptycho_tf.bundles import BACKEND, model_from, network_of
from ptycho_tf.devices import Devices, be_deterministic, open_devices
from ptycho_tf.frameworks import tf
from ptycho_tf.layout import channels_first, channels_last
from ptycho_tf.model import PtychoModel
from ptycho_tf.overlap import Placement

PATTERNS_PER_STEP = {"CPU": 32, "GPU": 1024}
"""Patterns of 64 pixels per step, unless ``inference_batch_size`` is set: as in the PyTorch
backend, since phases are matched step by step. On a CPU larger steps gain nothing; a GPU is fully
used only by such steps."""

Indices = NDArray[np.int64]


@frozen(eq=False, kw_only=True)
class _Pass:
    """The two passes over a scan: onto the canvas, and back to the counts."""

    scan: Scan
    model: PtychoModel
    canvas: Canvas
    devices: Devices
    execution: PyTorchExecutionConfig
    nphotons: float
    photons: float

    @property
    def step(self) -> int:
        """Number of patterns per step of the network."""
        on_gpu = "GPU" in self.devices.names[0]
        size = self.scan.N / 64
        patterns = PATTERNS_PER_STEP["GPU"] / size**2 if on_gpu else PATTERNS_PER_STEP["CPU"] / size
        return max(1, int(patterns))

    @property
    def weight(self) -> NDArray[np.float32]:
        """Weight (N, N) of each pixel of a patch, zero outside the central square that is kept."""
        weight, N = probe_weight(self.model.probe.numpy()), self.scan.N
        if not self.execution.middle_trim:
            return weight
        rim = (N - min(N, self.execution.middle_trim)) // 2
        return np.pad(weight[rim : N - rim, rim : N - rim], rim)

    def read(self, batches: list[Indices]) -> Iterator[tuple[Indices, NDArray[np.float32]]]:
        """Yield pattern numbers and counts (..., N, N), loaded ahead by one thread per worker."""

        def load(chosen: Indices) -> NDArray[np.float32]:
            counts = self.scan.counts(chosen.reshape(-1), self.nphotons)
            return counts.reshape(*chosen.shape, self.scan.N, self.scan.N)

        loaded = read_ahead(
            load,
            batches,
            workers=max(1, self.execution.num_workers),
            per_worker=self.execution.prefetch_factor or 2,
        )
        yield from zip(batches, loaded, strict=True)

    def local(self, chosen: Indices) -> NDArray[np.float32]:
        """Positions (..., 2) of patterns on the canvas."""
        return self.canvas.local(self.scan.positions[chosen]).astype(np.float32)

    def network(self, C: int) -> Callable[[Any, Any], Any]:
        """Return a function of counts (B, C, N, N) and positions (B, C, 2) that gives patches."""
        N, scale = self.scan.N, input_scale(self.photons, self.scan.N)

        @tf.function(
            input_signature=[
                tf.TensorSpec((None, C, N, N), tf.float32),
                tf.TensorSpec((None, C, 2), tf.float32),
            ],
            autograph=False,
        )
        def patches_of(counts: Any, positions: Any) -> Any:
            x = channels_last(tf.sqrt(counts) * scale)
            where = tf.transpose(positions, (0, 2, 1))[:, None]
            return channels_first(self.model.diffraction_to_obj(x, where, self.photons))

        return patches_of

    def stitch(
        self, groups: Indices, progress: Callable[[int, int], None] | None
    ) -> tuple[NDArray[np.complex64], NDArray[np.float32], float]:
        """Merge the patches of all groups after matching their global phases.

        Returns
        -------
        object_, coverage : (H, W) arrays
        waiting : float
            Seconds spent waiting for patterns.
        """
        N, C = self.scan.N, groups.shape[1]
        size = self.execution.inference_batch_size or max(1, self.step // C)
        network, weight, mosaic = self.network(C), self.weight, Mosaic(N)
        mosaic.reserve(self.canvas)
        done, waiting, before = 0, 0.0, time.perf_counter()
        joint = self.model.config.joint_stages
        steps = inference_steps(groups, self.scan.positions, size, together=joint)
        for rows, counts in self.read(steps):
            waiting += time.perf_counter() - before
            where, used = self.scan.positions[rows], len(rows)
            # copies would affect the mean on a common canvas
            padding = size - used if self.execution.pad_eval and not joint else 0
            counts = np.concatenate([counts, *padding * [counts[-1:]]]) if padding else counts
            local = places_in_step(where, N, together=joint, padding=padding)
            patches = network(counts, local)[:used].numpy()
            mosaic.add(patches.reshape(-1, N, N), where.reshape(-1, 2), weight)
            done += used
            if progress is not None:
                progress(done, len(groups))
            before = time.perf_counter()
        total, coverage = mosaic.merged(self.canvas)
        return stitched_object(total, coverage), coverage, waiting

    def score(self, object_: NDArray[np.complex64], indices: Indices) -> float:
        """R-factor of the stitched object (H, W) over the patterns ``indices``."""
        N, canvas = self.scan.N, tf.constant(object_.ravel(), tf.complex64)

        @tf.function(
            input_signature=[
                tf.TensorSpec((None, N, N), tf.float32),
                tf.TensorSpec((None, 2), tf.float32),
            ],
            autograph=False,
        )
        def misfit(counts: Any, positions: Any) -> tuple[Any, Any]:
            patches = Placement.of(positions, self.canvas.shape, N).extract(canvas)
            measured = tf.sqrt(counts)
            predicted = tf.sqrt(self.model.predict_counts(patches, self.photons))
            bad = self.model.bad_pixels
            return r_factor_sums(predicted, measured, bad, xp=namespace)

        sums = np.zeros(2)
        for chosen, counts in self.read(chunks(indices, self.step)):
            sums += [float(part) for part in misfit(counts, self.local(chosen))]
        return float(sums[0] / sums[1])


def reconstruct(
    bundle: Bundle,
    scan: Scan,
    config: InferenceConfig,
    execution: PyTorchExecutionConfig,
    *,
    probe: NDArray[np.complex64] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> InferenceResult:
    """Reconstruct the object of a scan with a trained model.

    The network's patches are merged into one object, weighted by the illumination, and divided
    once: memory does not grow with the number of patterns. The scan's own mean counts set the
    scale, so the object does not depend on the dose.

    Parameters
    ----------
    bundle
        Trained model, of either backend.
    scan
        Patterns and positions, of the size N the model was trained for unless its network accepts
        any size.
    config
        Which patterns to use; its model part is ignored in favour of the bundle's.
    execution
        Device, precision, batch size, loading, patch trim.
    probe : (M, N, N) complex64, optional
        Probe to use. Default: the bundle's or the scan's, see `ptycho_core.probe_choice`.
    progress
        Called with (groups done, groups in all) after each step.

    Returns
    -------
    InferenceResult

    Raises
    ------
    ValueError
        If bundle and scan do not match.
    """
    started = time.perf_counter()
    trained = bundle.training_config
    check_fit(trained.model.N, scan, any_size=network_of(bundle).any_size)
    scan = with_positions(scan, measured=trained.positions_provided)
    groups = inference_groups(scan, config, trained.model.gridsize)
    indices = np.unique(groups)
    warn_if_few(len(indices), "the quality of the object cannot be judged")
    probe = choose_probe(bundle, scan, probe)
    be_deterministic(execution.deterministic)
    # One pass keeps one device busy; several devices are for training.
    devices = open_devices(evolve(execution, devices=1, strategy="auto"))
    with devices.scope():
        model = model_from(bundle, probe, scan.bad_pixels, precision=execution.precision)
        work = _Pass(
            scan=scan,
            model=model,
            canvas=Canvas.covering(scan.positions[indices], scan.N),
            devices=devices,
            execution=execution,
            nphotons=trained.nphotons,
            photons=mean_counts(scan, indices, trained.nphotons, probe),
        )
        prepared = time.perf_counter()
        object_, coverage, waiting = work.stitch(groups, progress)
        stitched = time.perf_counter()
        r_factor = work.score(object_, indices)
    scored = time.perf_counter()
    centres = work.canvas.local(scan.positions[indices])
    return InferenceResult(
        reconstruction=Reconstruction(
            object=object_,
            coverage=coverage,
            xcoords=centres[:, 0],
            ycoords=centres[:, 1],
            indices=indices,
            probe=model.probe.numpy(),
            origin=np.array(work.canvas.origin),
            pixel_size_m=scan.pixel_size_m,
        ),
        r_factor=r_factor,
        timings={
            "prepare": prepared - started,
            "read": waiting,
            "reconstruct": stitched - prepared - waiting,
            "score": scored - stitched,
        },
        patterns_per_second=len(indices) / (stitched - prepared),
        backend=BACKEND,
    )
