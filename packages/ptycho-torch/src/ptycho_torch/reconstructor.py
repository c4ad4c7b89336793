"""Reconstruction of patterns as they come: a canvas that grows with every batch."""

import math
from os import PathLike

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from ptycho_config import PyTorchExecutionConfig, TrainingConfig, from_dict
from ptycho_data import Bundle, Reconstruction, load_bundle
from ptycho_data.batches import places_in_step
from ptycho_data.selection import covering_groups, inference_steps
from ptycho_physics import (
    Canvas,
    detected_fraction,
    extract_patches,
    input_scale,
    probe_weight,
)
from torch import Tensor

from ptycho_torch.bundles import model_from
from ptycho_torch.canvas import GrowingCanvas
from ptycho_torch.devices import Runner, determinism, open_runner

__all__ = ["Reconstructor"]

PATTERNS_PER_STEP = {"cpu": 32, "cuda": 1024, "mps": 256}
"""Patterns of 64 pixels in one step, where ``inference_batch_size`` does not say. On a CPU a tenth
faster than 16 with `unrolled`, and larger ones gain nothing; a GPU needs them to be busy."""


class Reconstructor:
    """Reconstructs an object from patterns that come one batch at a time.

    Each batch goes through the network once and is added to a canvas, which grows where patterns
    lie outside of it. The memory needed is that of the object and of one batch. With the model's
    ``joint_stages`` patterns of one batch help each other, so what is added together matters.

    Parameters
    ----------
    bundle : Bundle or path
        Trained model, of either backend, or the file or folder that holds it.
    probe : (M, N, N) complex64 array, optional
        Probe of the scan. Default: that of the bundle.
    bad_pixels : (N, N) bool array, optional
        True where the detector is not to be believed.
    photons : float, optional
        Mean counts per pattern of the scan (mean sum of squares, for amplitudes), which fixes the
        scale of the object. Default: the mean of the first batch for the network, and of all
        batches so far for the scale of `object`.
    domain : {"counts", "amplitude"}, optional
        What the patterns are. Default: what the training scan held.
    execution : PyTorchExecutionConfig, optional
        Device, precision, batch size, patch trim. Default: the best device present.

    Raises
    ------
    BundleError
        If there is no intact bundle.
    ValueError
        If probe and model do not fit, or there is no such device.

    Examples
    --------
    >>> live = Reconstructor("model", probe=probe)  # doctest: +SKIP
    >>> for patterns, positions in detector:  # doctest: +SKIP
    ...     live.add(patterns, positions)
    ...     show(np.angle(live.object))
    """

    def __init__(
        self,
        bundle: Bundle | str | PathLike[str],
        *,
        probe: NDArray[np.complex64] | None = None,
        bad_pixels: NDArray[np.bool_] | None = None,
        photons: float | None = None,
        domain: str | None = None,
        execution: PyTorchExecutionConfig | None = None,
        runner: Runner | None = None,
    ) -> None:
        if not isinstance(bundle, Bundle):
            bundle = load_bundle(bundle)
        self.trained = from_dict(TrainingConfig, bundle.config)
        self.execution = execution or PyTorchExecutionConfig(accelerator="auto")
        self.runner = runner or open_runner(self.execution)
        self.model = model_from(bundle, probe, bad_pixels).to(self.runner.device)
        self.model.requires_grad_(False)
        # the order in which convolutions are fastest, up to twice, on CPUs and GPUs alike
        self.model.network.to(memory_format=torch.channels_last)
        self.domain = domain or bundle.scaling.get("domain", "counts")
        self.N = int(self.model.probe.shape[-1])
        self._weight = _trimmed(probe_weight(self.model.probe), self.execution.middle_trim)
        self._sheet = GrowingCanvas(self.N, self.runner.device)
        self._given = photons
        self._photons = photons
        self._total = 0.0
        self._centres: list[NDArray[np.float64]] = []

    @property
    def group_size(self) -> int:
        """Patterns that the network sees together, ``gridsize**2``."""
        return self.trained.model.channels

    @property
    def joint(self) -> bool:
        """Whether patterns of a step agree within the network, ``joint_stages``."""
        return self.trained.model.joint_stages

    @property
    def groups_per_step(self) -> int:
        """Groups that go through the network at once."""
        kind = self.runner.device.type
        size = self.N / 64 if kind == "cpu" else (self.N / 64) ** 2
        usual = int(PATTERNS_PER_STEP.get(kind, 32) / size / self.group_size)
        return self.execution.inference_batch_size or max(1, usual)

    @property
    def count(self) -> int:
        """Patterns added so far."""
        return sum(map(len, self._centres))

    @torch.inference_mode()
    def add(self, patterns: ArrayLike | Tensor, positions: ArrayLike) -> None:
        """Add patterns to the object.

        Parameters
        ----------
        patterns : (k, N, N) array or tensor
            Zero frequency at pixel ``[N//2, N//2]``; what is at bad pixels does not matter. At
            least as many as a group has members.
        positions : (k, 2) float array
            Patch centres ``(x, y)`` in pixels of the object grid; anywhere.

        Raises
        ------
        ValueError
            If the shapes do not fit, there is no light, or the canvas would not fit into memory.
        """
        where = np.asarray(positions, dtype=np.float64)
        counts = self._counts(patterns, where)
        groups = covering_groups(where, self.group_size)
        self._sheet.reserve(where)
        with determinism(self.execution.deterministic, self.runner.device):
            for rows in self.steps(groups, where):
                chosen = torch.from_numpy(rows).to(counts.device)
                self.stitch(self.predict(counts[chosen], where[rows]), where[rows])
        self._centres.append(where)

    def steps(
        self, groups: NDArray[np.int64], positions: NDArray[np.float64]
    ) -> list[NDArray[np.int64]]:
        """Cut groups (B, C) of patterns at ``positions`` (n, 2) into those that go at once."""
        return inference_steps(groups, positions, self.groups_per_step, together=self.joint)

    def _counts(self, patterns: ArrayLike | Tensor, positions: NDArray[np.float64]) -> Tensor:
        """Check a batch and return it as counts on the device; its light fixes the scale."""
        given = patterns if isinstance(patterns, Tensor) else torch.from_numpy(_plain(patterns))
        if given.ndim != 3 or given.shape[1:] != (self.N, self.N):
            msg = f"patterns: shape (k, {self.N}, {self.N}) expected, found {tuple(given.shape)}"
            raise ValueError(msg)
        if positions.shape != (len(given), 2) or not np.isfinite(positions).all():
            msg = (
                f"positions: finite (x, y) of {len(given)} patterns expected, shape "
                f"({len(given)}, 2), found shape {positions.shape}"
                + ("" if np.isfinite(positions).all() else " with NaN or infinity")
            )
            raise ValueError(msg)
        counts = given.to(self.runner.device, torch.float32)
        counts = counts.square() if self.domain == "amplitude" else counts
        counts = counts.masked_fill(self.model.bad_pixels, 0.0)
        if self._given is None:
            self._weigh(counts)
        return counts

    def _weigh(self, counts: Tensor) -> None:
        """Take the light of a batch into account."""
        light = float(counts.sum(dtype=torch.float64))
        self._total += light
        if self._photons is not None:
            return
        if not light > 0:
            msg = "patterns: some light expected in the first batch, found zero in every pattern"
            raise ValueError(msg)
        self._photons = light / len(counts) / self._detected()

    def _detected(self) -> float:
        """Share of the light that falls on good pixels."""
        bad = self.model.bad_pixels
        return detected_fraction(self.model.probe, bad) if bool(bad.any()) else 1.0

    @torch.inference_mode()
    def predict(self, counts: Tensor, positions: NDArray[np.float64]) -> Tensor:
        """Return the patches of groups of patterns; nothing is added to the object.

        Parameters
        ----------
        counts : (B, C, N, N) float32 tensor
            On the device.
        positions : (B, C, 2) float64 array
            Patch centres on the object grid.

        Returns
        -------
        (B, C, N, N) complex64 tensor
        """
        assert self._photons is not None  # noqa: S101 - `add` has seen to it
        x = counts.sqrt() * input_scale(self._photons, self.N)
        padding = max(0, self.groups_per_step - len(x)) if self.execution.pad_eval else 0
        x = torch.cat([x, x[-1:].expand(padding, *x.shape[1:])]) if padding else x
        places = places_in_step(positions, self.N, together=self.joint, padding=padding)
        local = torch.from_numpy(places)
        local = local.to(self.runner.device, non_blocking=True)
        with self.runner.autocast():
            patches = self.model.diffraction_to_obj(x, local.unsqueeze(-2), self._photons)
        return patches[: len(counts)]

    @torch.inference_mode()
    def stitch(self, patches: Tensor, positions: NDArray[np.float64]) -> None:
        """Add patches (..., N, N) to the object at positions (..., 2) of the object grid."""
        self._sheet.add(patches, positions, self._weight)

    def reserve(self, positions: NDArray[np.float64]) -> None:
        """Make room for patches at ``positions`` (..., 2), so that the canvas need not grow."""
        self._sheet.reserve(positions)

    @torch.inference_mode()
    def join(self) -> None:
        """Add up the canvases of all processes, which must have reserved the same room."""
        if self.runner.world_size > 1:
            self._sheet.join(self.runner.gather)

    @torch.inference_mode()
    def misfit(
        self, object_: Tensor, counts: Tensor, positions: NDArray[np.float64]
    ) -> tuple[Tensor, Tensor]:
        """Return numerator and denominator of the R-factor of some patterns.

        Parameters
        ----------
        object_ : (H, W) complex64 tensor
            On `canvas`, on the device.
        counts : (k, N, N) float32 tensor
        positions : (k, 2) float64 array
            Patch centres on the object grid.
        """
        local = torch.from_numpy(self.canvas.local(positions).astype(np.float32))
        patches = extract_patches(object_, local.to(object_.device), self.N)
        measured = counts.sqrt()
        predicted = self.model.predict_counts(patches, self._photons or 1.0).sqrt()
        good = ~self.model.bad_pixels
        return ((predicted - measured).abs() * good).sum(), (measured * good).sum()

    @property
    def canvas(self) -> Canvas:
        """Where `object` lies on the object grid: ``origin`` (x, y) and ``shape`` (H, W)."""
        return self._sheet.canvas

    @torch.inference_mode()
    def tensors(self) -> tuple[Tensor, Tensor]:
        """Return object and coverage on the device, as `object` and `coverage` give them."""
        object_, coverage = self._sheet.result()
        if self._given is None and self._photons is not None and self.count:
            mean = self._total / self.count / self._detected()
            lit = coverage > 0
            object_ = torch.where(lit, object_ * math.sqrt(self._photons / mean), object_)
        return object_, coverage

    @property
    def object(self) -> NDArray[np.complex64]:
        """The object (H, W) complex64 so far on `canvas`; one where no light fell."""
        return np.asarray(self.tensors()[0].cpu().numpy())

    @property
    def coverage(self) -> NDArray[np.float32]:
        """Weight (H, W) float32 summed over the patches; zero where no light fell."""
        return np.asarray(self._sheet.result()[1].cpu().numpy())

    def result(self) -> Reconstruction:
        """Return all of it in the form that is saved; patterns are numbered as they came."""
        centres = np.concatenate(self._centres) - self.canvas.origin
        object_, coverage = (part.cpu().numpy() for part in self.tensors())
        return Reconstruction(
            object=object_,
            coverage=coverage,
            xcoords=centres[:, 0],
            ycoords=centres[:, 1],
            indices=np.arange(self.count),
            probe=self.model.probe.cpu().numpy(),
            origin=np.array(self.canvas.origin),
        )


def _plain(patterns: ArrayLike) -> NDArray[np.generic]:
    """Return patterns in a type that torch knows: the unsigned ones of detectors are widened."""
    values = np.asarray(patterns)
    return values.astype(np.float32) if values.dtype.kind in "uib" else np.ascontiguousarray(values)


def _trimmed(weight: Tensor, side: int) -> Tensor:
    """Keep the weight in the central square of ``side`` pixels, if any is asked for."""
    if not side:
        return weight
    N = weight.shape[-1]
    rim = (N - min(N, side)) // 2
    return torch.nn.functional.pad(weight[rim : N - rim, rim : N - rim], (rim,) * 4)
