"""Streaming reconstruction: a canvas that grows with every batch of patterns."""

from os import PathLike
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from ptycho_config import PyTorchExecutionConfig
from ptycho_config.errors import InvalidValueError
from ptycho_config.types import Domain
from ptycho_core.batches import places_in_step
from ptycho_core.sampling import covering_groups, inference_steps
from ptycho_core.scan_estimate import ScanEstimate
from ptycho_data import Bundle, Reconstruction, as_modes, load_bundle
from ptycho_physics import Canvas, extract_patches, input_scale, probe_weight, r_factor_sums
from torch import Tensor

from ptycho_torch.bundles import model_from
from ptycho_torch.canvas import GrowingCanvas
from ptycho_torch.devices import Runner, determinism, open_runner
from ptycho_torch.live_patterns import Light, share_detected, take_in

__all__ = ["Reconstructor"]

PATTERNS_PER_STEP = {"cpu": 32, "cuda": 1024, "mps": 256}
"""Patterns of 64 pixels per step, unless ``inference_batch_size`` is set. On a CPU a tenth faster
than 16 with `unrolled`, and larger steps gain nothing; a GPU is fully used only by such steps."""


class Reconstructor:
    """Reconstructs an object from patterns that arrive one batch at a time.

    Each batch goes through the network once and is added to a canvas, which grows where patterns
    lie outside it. Memory is needed for the object and one batch. With the model's
    ``joint_stages`` patterns of one batch are reconstructed jointly, so the batches affect the
    result.

    Parameters
    ----------
    bundle : Bundle or path
        Trained model, of either backend, or the file or folder that holds it.
    probe : (M, N, N) or (N, N) complex64 array, optional
        Probe of the scan. Default: that of the bundle.
    bad_pixels : (N, N) bool array, optional
        True where a detector pixel is bad.
    photons : float, optional
        Mean counts per pattern of the scan (mean sum of squares, for amplitudes, which are then
        roots of counts), which fixes the scale of the object. Default: the mean of the first batch
        for the network, and of all batches so far for the scale of `object`.
    domain : {"counts", "amplitude"}, optional
        What the patterns are. Default: that of the training scan. Amplitudes may be in any unit:
        without ``photons`` the network takes them to be of the dose it was trained at.
    execution : PyTorchExecutionConfig, optional
        Device, precision, batch size, patch trim. Default: the best device present.

    Raises
    ------
    BundleError
        If there is no intact bundle.
    InvalidValueError
        If probe and model do not match, bad pixels cover all intensity, or the domain or device
        does not exist.

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
        self.trained = bundle.training_config
        self.execution = execution or PyTorchExecutionConfig(accelerator="auto")
        self.runner = runner or open_runner(self.execution)
        probe = as_modes(bundle.probe if probe is None else probe)
        if bad_pixels is not None and bad_pixels.shape != probe.shape[-2:]:
            rule = f"of the shape {probe.shape[-2:]} of the probe"
            raise InvalidValueError("bad_pixels", rule, str(bad_pixels.shape))
        self.model = model_from(bundle, probe, bad_pixels).to(self.runner.device)
        self.model.requires_grad_(False)
        # the memory order in which convolutions are fastest, up to twice, on CPUs and GPUs
        self.model.network.to(memory_format=torch.channels_last)
        self.domain = domain or bundle.scaling.get("domain", "counts")
        if self.domain not in get_args(Domain):
            rule = f"one of {', '.join(get_args(Domain))}"
            raise InvalidValueError("domain", rule, repr(self.domain))
        self.N = int(self.model.probe.shape[-1])
        self._weight = _trimmed(probe_weight(self.model.probe), self.execution.middle_trim)
        self._sheet = GrowingCanvas(self.N, self.runner.device)
        detected = share_detected(self.model.probe, self.model.bad_pixels)
        self._light = Light(given=photons, detected=detected)
        in_any_unit = self.domain == "amplitude" and photons is None
        self._dose: float | None = bundle.statistic("photons") if in_any_unit else None
        self._centres: list[NDArray[np.float64]] = []
        self._estimated: ScanEstimate | None = None

    @property
    def group_size(self) -> int:
        """Patterns that the network sees together, ``gridsize**2``."""
        return self.trained.model.channels

    @property
    def joint(self) -> bool:
        """Whether the patterns of a step are reconstructed jointly, ``joint_stages``."""
        return self.trained.model.joint_stages

    @property
    def groups_per_step(self) -> int:
        """Number of groups per step of the network."""
        kind = self.runner.device.type
        size = self.N / 64 if kind == "cpu" else (self.N / 64) ** 2
        usual = int(PATTERNS_PER_STEP.get(kind, 32) / size / self.group_size)
        return self.execution.inference_batch_size or max(1, usual)

    @property
    def padded(self) -> bool:
        """Whether short steps are padded with copies; not if ``joint_stages`` would use them."""
        return self.execution.pad_eval and not self.joint

    @property
    def count(self) -> int:
        """Number of patterns added so far."""
        return sum(map(len, self._centres))

    @property
    def photons(self) -> float:
        """Mean counts (squared amplitudes) per pattern, to which the scale of `object` refers.

        The value given, or else the mean so far, corrected for bad pixels.

        Raises
        ------
        InvalidValueError
            If none was given and there are no patterns yet.
        """
        return self._light.mean

    @torch.inference_mode()
    def add(self, patterns: ArrayLike | Tensor, positions: ArrayLike) -> None:
        """Add patterns to the object; a batch that is refused changes nothing.

        Parameters
        ----------
        patterns : (k, N, N) array or tensor
            Zero frequency at pixel ``[N//2, N//2]``; values at bad pixels are ignored. At
            least one group of patterns, or none at all, which changes nothing.
        positions : (k, 2) float array
            Patch centres ``(x, y)`` in pixels of the object grid; anywhere.

        Raises
        ------
        InvalidValueError
            If the shapes do not match, a value is negative or not finite, there is no light, there
            are too few patterns for a group, or the canvas would not fit into memory.
        """
        where = np.array(positions, dtype=np.float64)  # kept: the caller's array may change
        counts, light = take_in(patterns, where, self.model.bad_pixels, self.domain)
        if not len(counts):
            return
        known = self._light.after(light, len(counts))
        groups = covering_groups(where, self.group_size)
        self._sheet.reserve(where)
        self._light = known  # only now, because all of the above may refuse the batch
        with determinism(self.execution.deterministic, self.runner.device):
            estimate = self._estimated = self._estimate(counts, where)
            for rows in self.steps(groups, where):
                chosen = torch.from_numpy(rows).to(counts.device)
                start = None if estimate is None else estimate.patches(rows)
                self.stitch(self.predict(counts[chosen], where[rows], start), where[rows])
        self._centres.append(where)

    def _estimate(self, counts: Tensor, positions: NDArray[np.float64]) -> ScanEstimate | None:
        """Estimate the object from a batch and those before, for a network that starts from it."""
        if not self.model.network.starts_from_scan:
            return None
        bad = self.model.bad_pixels.cpu().numpy()
        return ScanEstimate.of_patterns(
            counts.cpu().numpy(),
            positions,
            self.model.probe.cpu().numpy(),
            photons=self._light.reference,
            bad_pixels=bad if bad.any() else None,
            before=self._estimated,
        )

    def steps(
        self, groups: NDArray[np.int64], positions: NDArray[np.float64]
    ) -> list[NDArray[np.int64]]:
        """Divide groups (B, C) of patterns at ``positions`` (n, 2) into steps."""
        return inference_steps(groups, positions, self.groups_per_step, together=self.joint)

    @torch.inference_mode()
    def predict(
        self,
        counts: Tensor,
        positions: NDArray[np.float64],
        start: tuple[NDArray[np.complex64], NDArray[np.float32]] | None = None,
    ) -> Tensor:
        """Return the patches of groups of patterns, without adding them to the object.

        Parameters
        ----------
        counts : (B, C, N, N) float32 tensor
            Counts, or squared amplitudes, on the device.
        positions : (B, C, 2) float64 array
            Patch centres on the object grid.
        start
            Patches and light of `ptycho_core.scan_estimate.ScanEstimate.patches`, for a network
            that starts from them.

        Returns
        -------
        (B, C, N, N) complex64 tensor

        Raises
        ------
        InvalidValueError
            If ``photons`` was not given and no pattern was added yet.
        """
        reference = self._light.reference
        dose = self._dose or reference
        x = counts.sqrt() * input_scale(reference, self.N)
        padding = max(0, self.groups_per_step - len(x)) if self.padded else 0
        begin = [torch.from_numpy(part).to(self.runner.device) for part in start or ()]
        x, *begin = (_padded(part, padding) for part in (x, *begin))
        places = places_in_step(positions, self.N, together=self.joint, padding=padding)
        local = torch.from_numpy(places)
        local = local.to(self.runner.device, non_blocking=True)
        with self.runner.autocast():
            patches = self.model.diffraction_to_obj(x, local.unsqueeze(-2), dose, *begin)
        return patches[: len(counts)]

    @torch.inference_mode()
    def stitch(self, patches: Tensor, positions: NDArray[np.float64]) -> None:
        """Add patches (..., N, N) to the object at positions (..., 2) of the object grid."""
        self._sheet.add(patches, positions, self._weight)

    def reserve(self, positions: NDArray[np.float64]) -> None:
        """Reserve room for patches at ``positions`` (..., 2), so that the canvas need not grow."""
        self._sheet.reserve(positions)

    @torch.inference_mode()
    def join(self) -> None:
        """Sum the canvases of all processes, which must have reserved the same room."""
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
            Counts, or squared amplitudes.
        positions : (k, 2) float64 array
            Patch centres on the object grid.
        """
        local = torch.from_numpy(self.canvas.local(positions).astype(np.float32))
        patches = extract_patches(object_, local.to(object_.device), self.N)
        measured = counts.sqrt()
        predicted = self.model.predict_counts(patches, self.photons).sqrt()
        misfit, total = r_factor_sums(predicted, measured, self.model.bad_pixels)
        return misfit, total

    @property
    def canvas(self) -> Canvas:
        """Where `object` lies on the object grid: ``origin`` (x, y) and ``shape`` (H, W)."""
        return self._sheet.canvas

    @torch.inference_mode()
    def tensors(self) -> tuple[Tensor, Tensor]:
        """Return `object` and `coverage` as tensors on the device."""
        object_, coverage = self._sheet.result()
        if (gain := self._light.gain) != 1:
            object_ = torch.where(coverage > 0, object_ * gain, object_)
        return object_, coverage

    @property
    def object(self) -> NDArray[np.complex64]:
        """The object (H, W) complex64 so far on `canvas`; one where there was no illumination."""
        return np.asarray(self.tensors()[0].cpu().numpy())

    @property
    def coverage(self) -> NDArray[np.float32]:
        """Weight (H, W) float32 summed over the patches; zero where there was no illumination."""
        return np.asarray(self.tensors()[1].cpu().numpy())

    def result(self, **known: Any) -> Reconstruction:
        """Return the reconstruction to be saved; patterns are numbered in the order of arrival.

        Parameters
        ----------
        **known
            What is known of experiment and stage, by the fields of `ptycho_data.Reconstruction`:
            ``pixel_size_m``, ``origin_m``, ``photon_energy_ev``, ...

        Raises
        ------
        InvalidValueError
            If no pattern was added yet.
        """
        if not self.count:
            raise InvalidValueError("patterns", "added before there is a result", "none")
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
            **known,
        )


def _padded(values: Tensor, padding: int) -> Tensor:
    """Append copies of the last group of a batch."""
    return torch.cat([values, values[-1:].expand(padding, *values.shape[1:])])


def _trimmed(weight: Tensor, side: int) -> Tensor:
    """Zero the weight outside the central square of ``side`` pixels, if given."""
    if not side:
        return weight
    N = weight.shape[-1]
    rim = (N - min(N, side)) // 2
    return torch.nn.functional.pad(weight[rim : N - rim, rim : N - rim], (rim,) * 4)
