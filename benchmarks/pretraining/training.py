"""Training of a network on random scenes, none of them seen twice, against the true objects."""

import logging
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from attrs import frozen
from numpy.typing import NDArray
from ptycho_config import ModelConfig
from ptycho_config.errors import InvalidValueError
from ptycho_data import Bundle
from ptycho_physics import defocused_probe, extract_patches, input_scale, probe_weight
from ptycho_torch.bundles import assign_weights
from ptycho_torch.model import PtychoModel
from ptycho_torch.networks import Network, build_network
from ptycho_torch.overlap import GroupCanvases
from torch import Tensor

from pretraining.scenes import Scene, make_scene

log = logging.getLogger(__name__)

MODEL = ModelConfig(architecture="guided", joint_stages=True)
"""The network."""

BATCH = {64: 32, 128: 10}
"""Patterns of a batch, by the side of a pattern."""

BATCHES, SCENES = 6, 4
"""Batches from each scene, and scenes that take turns: the estimate of a scene costs as much as
three batches, and one scene alone would turn the weights its way."""

RATE, LEAST_RATE, WARMUP = 2e-3, 2e-5, 200
"""Learning rate after the first steps, at the end of the cosine, and number of first steps."""

LATER_RATE = 1e-3
"""Learning rate after the first steps of a training that starts from weights."""

AVERAGING = 0.999
"""Weight of the past in the running mean of the weights, which is what is kept."""

SMOOTHING = 0.01
"""Distance from the truth, in contrasts of the object, below which the loss is quadratic."""

VALIDATION = 10**9
"""Seeds from here on are those of validation scenes."""

SAVED_EVERY = 200


@frozen(eq=False, kw_only=True)
class SceneBatch:
    """Some neighbouring patterns of a scene, as tensors (B, 1, ...): see `Network.forward`."""

    x: Tensor
    positions: Tensor
    probe: Tensor
    bad_pixels: Tensor
    photons: float
    start: Tensor
    light: Tensor
    truth: Tensor

    def patches(self, network: Network) -> Tensor:
        """Return the patches (B, 1, N, N) that a network finds."""
        found: Tensor = network(
            *(self.x, self.positions, self.probe, self.bad_pixels, self.photons),
            *(self.start, self.light),
        )
        return found

    def losses(self, patches: Tensor) -> Tensor:
        """Return the distances of the patches from the truth, alone and merged."""
        N, weight = patches.shape[-1], probe_weight(self.probe)
        parts = [patches]
        if len(patches) > 1:
            canvas = GroupCanvases.of(self.positions.reshape(1, -1, 1, 2), N)
            merged = canvas.agree_in_phase(patches.reshape(1, -1, N, N), weight)
            parts.append(merged.reshape(patches.shape))
        return torch.stack([_distance(part, self.truth, weight) for part in parts])


def _distance(patches: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Return the mean distance from the truth in contrasts of the object, up to a global phase."""
    weight = (weight / weight.sum()).expand(truth.shape) / len(truth)
    mean = (weight * truth).sum()
    contrast = (weight * (truth - mean).abs() ** 2).sum().sqrt() + 0.03
    with torch.no_grad():
        phase = (weight * truth.conj() * patches).sum().sgn()
    error = torch.view_as_real((patches * phase.conj() - truth) / contrast)
    return (weight * (error.square().sum(-1) + SMOOTHING**2).sqrt()).sum()


def batches_of(
    scene: Scene, rng: np.random.Generator, device: torch.device
) -> Iterator[SceneBatch]:
    """Yield batches of neighbouring patterns: mostly full ones, sometimes a few patterns."""
    estimate, most = scene.estimate(), BATCH[scene.N]
    while True:
        size = most if rng.random() < 0.8 else int(rng.integers(1, most))
        first = scene.positions[rng.integers(len(scene.positions))]
        distance = np.hypot(*(scene.positions - first).T)
        rows = np.argsort(distance, kind="stable")[:size]
        yield _batch(scene, rows, *estimate.patches(rows), device)


def _batch(
    scene: Scene,
    rows: NDArray[np.int64],
    start: NDArray[np.complex64],
    light: NDArray[np.float32],
    device: torch.device,
) -> SceneBatch:
    where = scene.positions[rows].astype(np.float32)

    def tensor(values: Any) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(device)

    amplitude = np.sqrt(scene.counts[rows]) * np.float32(input_scale(scene.photons, scene.N))
    return SceneBatch(
        x=tensor(amplitude)[:, None],
        positions=tensor(where)[:, None, None],
        probe=tensor(scene.probe),
        bad_pixels=tensor(scene.bad_pixels),
        photons=scene.photons,
        start=tensor(start)[:, None],
        light=tensor(light)[:, None],
        truth=tensor(extract_patches(scene.truth, where, scene.N))[:, None],
    )


def first_network(config: ModelConfig, start: Bundle | None) -> Network:
    """Return a network with random weights, or with those of a model.

    Raises
    ------
    InvalidValueError
        If the model is another network.
    """
    model = PtychoModel(config, defocused_probe(config.N))
    if start is not None:
        assign_weights(model, start)
    return model.network


def identity(start: Bundle | None) -> dict[str, Any]:
    """Return what identifies a model, empty without one."""
    return {} if start is None else start.identity


class Pretraining:
    """A training that goes on where it was.

    What a training of another kind does differently is in the attributes of the class and in
    `scene`, `seen` and `loss`.

    Parameters
    ----------
    file
        Its state; made if it is not there.
    steps
        Number of updates of the weights.
    seed
        Of the first weights and of the first scene.
    device
        Where the network computes.
    start
        Model of the same network to start from, at half the learning rate; default: random weights.

    Raises
    ------
    InvalidValueError
        If the state belongs to a training of other steps, seed or start.
    """

    model = MODEL
    scenes = SCENES

    def __init__(
        self,
        file: Path,
        steps: int,
        seed: int,
        device: torch.device,
        start: Bundle | None = None,
    ) -> None:
        torch.manual_seed(seed)
        self.file, self.steps, self.seed, self.device = file, steps, seed, device
        self.rate = LATER_RATE if start else RATE
        self.settings = {"steps": steps, "seed": seed, "start": identity(start)}
        network = first_network(self.model, start)
        self.network = network.to(device, memory_format=torch.channels_last)
        self.mean = build_network(self.model).to(device, memory_format=torch.channels_last)
        self.mean.load_state_dict(self.network.state_dict())
        parameters = self.network.parameters()
        self.optimizer = torch.optim.AdamW(
            parameters, self.rate, betas=(0.9, 0.99), weight_decay=1e-4
        )
        self.step = 0
        if file.exists():
            state = torch.load(file, map_location=device, weights_only=True)
            if state["settings"] != self.settings:
                rule = f"the state of a training with {self.settings}"
                raise InvalidValueError(str(file), rule, state["settings"])
            self.step = state["step"]
            self.network.load_state_dict(state["network"])
            self.mean.load_state_dict(state["mean"])
            self.optimizer.load_state_dict(state["optimizer"])

    def save(self) -> None:
        """Write the state, whole or not at all."""
        parts = {"network": self.network, "mean": self.mean, "optimizer": self.optimizer}
        state = {name: part.state_dict() for name, part in parts.items()}
        beside = self.file.with_suffix(".part")
        torch.save({"step": self.step, "settings": self.settings, **state}, beside)
        beside.replace(self.file)

    def run(self) -> None:
        """Train until all steps are made, or a few more: scenes are used up."""
        turn = BATCHES * self.scenes
        while self.step < self.steps:
            first = self.seed * 10**7 + self.step // BATCHES
            scenes = [self._batches(first + number) for number in range(self.scenes)]
            for _ in range(BATCHES):
                for batches in scenes:
                    self._update(next(batches))
            if self.step // SAVED_EVERY > (self.step - turn) // SAVED_EVERY:
                self.save()
                log.info("%d of %d updates", self.step, self.steps)
        self.save()

    def scene(self, seed: int) -> Scene:
        """Return the scene of a seed."""
        return make_scene(seed)

    def seen(self, batch: SceneBatch) -> SceneBatch:
        """Return what the network sees of a batch: all of it."""
        return batch

    def loss(self, batch: SceneBatch, patches: Tensor) -> Tensor:
        """Return the loss of the patches that the network found."""
        losses = batch.losses(patches)
        return losses[-1] + 0.3 * losses[0]

    def _batches(self, seed: int) -> Iterator[SceneBatch]:
        return batches_of(self.scene(seed), np.random.default_rng((seed, 1)), self.device)

    def _update(self, batch: SceneBatch) -> None:
        progress = min(1, self.step / self.steps)
        rate = LEAST_RATE + (self.rate - LEAST_RATE) * (1 + math.cos(math.pi * progress)) / 2
        for group in self.optimizer.param_groups:
            group["lr"] = rate * min(1, (self.step + 1) / WARMUP)
        self.optimizer.zero_grad()
        patches = self.seen(batch).patches(self.network)
        self.loss(batch, patches).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        past = min(AVERAGING, (self.step + 1) / (self.step + 20))
        with torch.no_grad():
            for mean, now in zip(self.mean.parameters(), self.network.parameters(), strict=True):
                mean.lerp_(now, 1 - past)
        self.step += 1

    @torch.inference_mode()
    def validate(self, scenes: int) -> list[tuple[float, float, float]]:
        """Return dose, distance of the estimate and of the network for validation scenes."""
        rows = []
        for number in range(scenes):
            scene = make_scene(VALIDATION + number, N=64)
            batch = next(batches_of(scene, np.random.default_rng(number), self.device))
            patches = self.seen(batch).patches(self.mean)
            before, after = (batch.losses(part)[-1] for part in (batch.start, patches))
            rows.append((scene.photons, float(before), float(after)))
        return rows
