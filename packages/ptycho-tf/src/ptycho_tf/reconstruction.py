"""Inference with TensorFlow: the pass of `ptycho_core.network_pass` over a scan."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from attrs import define, evolve, field
from numpy.typing import NDArray
from ptycho_core.batches import chunks, places_in_step
from ptycho_core.network_pass import GroupsDone, PassRequest, reconstruct_in_one_pass
from ptycho_core.read_ahead import read_ahead
from ptycho_core.results import InferenceResult
from ptycho_core.sampling import inference_steps
from ptycho_data import Bundle
from ptycho_physics import (
    Canvas,
    Mosaic,
    input_scale,
    probe_weight,
    r_factor_sums,
    stitched_object,
)

from ptycho_tf import namespace
from ptycho_tf.bundles import model_from
from ptycho_tf.devices import Devices, be_deterministic, open_devices
from ptycho_tf.frameworks import tf
from ptycho_tf.layout import channels_first, channels_last
from ptycho_tf.model import PtychoModel
from ptycho_tf.networks import NETWORKS
from ptycho_tf.overlap import Placement

PATTERNS_PER_STEP = {"CPU": 32, "GPU": 1024}
"""Patterns of 64 pixels per step, unless ``inference_batch_size`` is set: as in the PyTorch
backend, since phases are matched step by step. On a CPU larger steps gain nothing; a GPU is fully
used only by such steps."""

Indices = NDArray[np.int64]


def reconstruct(bundle: Bundle, *scan_and_settings: Any, **options: Any) -> InferenceResult:
    """Reconstruct the object of a scan with a trained model.

    Further parameters and errors are those of
    `ptycho_core.network_pass.reconstruct_in_one_pass`.
    """
    return reconstruct_in_one_pass(open_pass, NETWORKS, bundle, *scan_and_settings, **options)


@contextmanager
def open_pass(request: PassRequest) -> Iterator["_Pass"]:
    """Build the model on its device, and lay out the canvas of a scan."""
    execution, scan = request.execution, request.scan
    be_deterministic(execution.deterministic)
    # One pass keeps one device busy; several devices are for training.
    devices = open_devices(evolve(execution, devices=1, strategy="auto"))
    with devices.scope():
        model = model_from(
            request.bundle, request.probe, scan.bad_pixels, precision=execution.precision
        )
        canvas = Canvas.covering(scan.positions[request.indices], scan.N)
        yield _Pass(request=request, model=model, canvas=canvas, devices=devices)


@define(eq=False, kw_only=True)
class _Pass:
    """The two passes over a scan: onto the canvas, and back to the counts."""

    request: PassRequest
    model: PtychoModel
    canvas: Canvas
    devices: Devices
    object_: NDArray[np.complex64] = field(init=False)

    @property
    def used_probe(self) -> NDArray[np.complex64]:
        return np.asarray(self.model.probe.numpy())

    @property
    def main_process(self) -> bool:
        return True

    @property
    def step(self) -> int:
        """Number of patterns per step of the network."""
        on_gpu = "GPU" in self.devices.names[0]
        size = self.request.scan.N / 64
        patterns = PATTERNS_PER_STEP["GPU"] / size**2 if on_gpu else PATTERNS_PER_STEP["CPU"] / size
        return max(1, int(patterns))

    @property
    def weight(self) -> NDArray[np.float32]:
        """Weight (N, N) of each pixel of a patch, zero outside the central square that is kept."""
        weight, N = probe_weight(self.model.probe.numpy()), self.request.scan.N
        if not self.request.execution.middle_trim:
            return weight
        rim = (N - min(N, self.request.execution.middle_trim)) // 2
        return np.pad(weight[rim : N - rim, rim : N - rim], rim)

    def read(self, batches: list[Indices]) -> Iterator[tuple[Indices, NDArray[np.float32]]]:
        """Yield pattern numbers and counts (..., N, N), loaded ahead by one thread per worker."""

        def load(chosen: Indices) -> NDArray[np.float32]:
            counts = self.request.scan.counts(chosen.reshape(-1), self.request.nphotons)
            return counts.reshape(*chosen.shape, self.request.scan.N, self.request.scan.N)

        loaded = read_ahead(
            load,
            batches,
            workers=max(1, self.request.execution.num_workers),
            per_worker=self.request.execution.prefetch_factor or 2,
        )
        yield from zip(batches, loaded, strict=True)

    def local(self, chosen: Indices) -> NDArray[np.float32]:
        """Positions (..., 2) of patterns on the canvas."""
        return self.canvas.local(self.request.scan.positions[chosen]).astype(np.float32)

    def network(self, C: int) -> Callable[..., Any]:
        """Return a function of counts (B, C, N, N) and positions (B, C, 2) that gives patches.

        With an estimate of the scan it also takes start and light (B, C, N, N).
        """
        N, scale = self.request.scan.N, input_scale(self.request.photons, self.request.scan.N)
        images = tf.TensorSpec((None, C, N, N), tf.float32)
        signature = [images, tf.TensorSpec((None, C, 2), tf.float32)]
        if self.request.start is not None:
            signature += [tf.TensorSpec((None, C, N, N), tf.complex64), images]

        @tf.function(input_signature=signature, autograph=False)
        def patches_of(counts: Any, positions: Any, *start: Any) -> Any:
            x = channels_last(tf.sqrt(counts) * scale)
            where = tf.transpose(positions, (0, 2, 1))[:, None]
            begin = map(channels_last, start)
            photons = self.request.photons
            return channels_first(self.model.diffraction_to_obj(x, where, photons, *begin))

        return patches_of

    def stitch(
        self, progress: GroupsDone | None
    ) -> tuple[NDArray[np.complex64], NDArray[np.float32], float]:
        request, positions = self.request, self.request.scan.positions
        N, groups, execution = request.scan.N, request.groups, request.execution
        C = groups.shape[1]
        size = execution.inference_batch_size or max(1, self.step // C)
        network, weight, mosaic = self.network(C), self.weight, Mosaic(N)
        mosaic.reserve(self.canvas)
        done, waiting, before = 0, 0.0, time.perf_counter()
        joint = self.model.config.joint_stages
        steps = inference_steps(groups, positions, size, together=joint)
        for rows, counts in self.read(steps):
            waiting += time.perf_counter() - before
            where, used = positions[rows], len(rows)
            # copies would affect the mean on a common canvas
            padding = size - used if execution.pad_eval and not joint else 0
            start = [] if request.start is None else [*request.start.patches(rows)]
            counts, *begin = (_padded(part, padding) for part in (counts, *start))
            local = places_in_step(where, N, together=joint, padding=padding)
            patches = network(counts, local, *begin)[:used].numpy()
            mosaic.add(patches.reshape(-1, N, N), where.reshape(-1, 2), weight)
            done += used
            if progress is not None:
                progress(done, len(groups))
            before = time.perf_counter()
        total, coverage = mosaic.merged(self.canvas)
        self.object_ = stitched_object(total, coverage)
        return self.object_, coverage, waiting

    def score(self) -> float:
        N, canvas = self.request.scan.N, tf.constant(self.object_.ravel(), tf.complex64)

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
            predicted = tf.sqrt(self.model.predict_counts(patches, self.request.photons))
            bad = self.model.bad_pixels
            return r_factor_sums(predicted, measured, bad, xp=namespace)

        sums = np.zeros(2)
        for chosen, counts in self.read(chunks(self.request.indices, self.step)):
            sums += [float(part) for part in misfit(counts, self.local(chosen))]
        return float(sums[0] / sums[1])


def _padded(values: NDArray[Any], padding: int) -> NDArray[Any]:
    """Append copies of the last group of a batch."""
    return np.concatenate([values, *padding * [values[-1:]]]) if padding else values
