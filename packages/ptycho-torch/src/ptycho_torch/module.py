"""Losses and optimiser: the part of training that Lightning drives."""

from typing import Any

import lightning.pytorch as pl
import torch
from ptycho_config import PyTorchExecutionConfig, Scheduler, TrainingConfig
from ptycho_physics import (
    amplitude_mae,
    gentleness,
    input_scale,
    likelihood_background,
    poisson_deviance,
    probe_weight,
    total_variation,
)
from ptycho_physics.losses import BACKGROUND
from torch import Tensor

from ptycho_torch.data import Batch
from ptycho_torch.imagined import imagined_batch
from ptycho_torch.model import PtychoModel
from ptycho_torch.schedules import lightning_schedule

WEIGHT_DECAY = 1e-4

PROBE_RATE = 2
"""Learning rate of a trainable probe relative to the network's. It polishes a good probe; a poor
one is better refined by the solver first, whose steps are preconditioned."""

POSITION_RATE = 60
"""Learning rate of positions, in pixels, relative to the network's: tenths of a pixel each time a
pattern is seen, at first. Errors of 1.1 pixels rms become 0.6 in 20 epochs of 48 patterns."""


class PtychoModule(pl.LightningModule):
    """Trains a `PtychoModel`.

    Parameters
    ----------
    model
        Network and forward model.
    config
        Loss weights, number of epochs, model type.
    execution
        Learning rate and schedule.
    monitor
        The logged loss that a plateau schedule watches.

    Attributes
    ----------
    state : dict
        What `ptycho_core.resuming.check_resumed` is to know of a checkpoint.
    """

    def __init__(
        self,
        model: PtychoModel,
        config: TrainingConfig,
        execution: PyTorchExecutionConfig,
        monitor: str,
    ) -> None:
        super().__init__()
        self.model = model
        self.config = config
        self.execution = execution
        self.monitor = monitor
        self.gentle = 0.0
        self.state: dict[str, Any] = {}
        self._seen: tuple[Batch, Tensor] | None = None

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Return every weighted term of the loss of a batch, as means over its patterns.

        Terms are relative, so that their weights mean the same at any dose:

        ``nll``
            Poisson negative log-likelihood above its minimum, per photon;
        ``mae``
            amplitude error over ``sqrt(photons) * N / 2``, the order of a pattern's amplitude;
        ``realspace``
            total variation per pixel;
        ``realspace_mae``
            complex error against the ground truth, weighted by the illumination, each patch in
            the phase that fits best.
        """
        batch = {**batch, "positions": self.model.use(batch)}
        counts, photons = batch["counts"], batch["photons"]
        x = counts.sqrt() * (input_scale(1.0, counts.shape[-1]) / photons.sqrt())
        patches = self.model.diffraction_to_obj(x, self._apart(batch), photons)
        # Autocast reaches the network only; the physics below stays in float32.
        with torch.autocast(counts.device.type, enabled=False):
            return self._terms(batch, patches)

    def _apart(self, batch: Batch) -> Tensor:
        """Return where the network sees the patches of a batch."""
        if "apart" not in batch:
            return batch["positions"]
        return self.model.illumination.move(batch["apart"], batch["indices"])

    def _terms(self, batch: Batch, patches: Tensor) -> dict[str, Tensor]:
        config, counts, photons = self.config, batch["counts"], batch["photons"]
        bad = self.model.bad_pixels
        terms: dict[str, Tensor] = {}
        if config.model.model_type == "supervised":
            return {"realspace_mae": self._truth_error(patches, batch["truth"])}
        self._seen = (batch, patches.detach())
        patches = self.model.constrain(
            patches, batch["positions"], batch["canvas"], photons=photons
        )
        rate = self.model.predict_counts(patches, photons)
        if config.nll_weight:
            deviance = self._deviance(rate, counts, photons)
            terms["nll"] = config.nll_weight * deviance / (2 * photons)
        if config.mae_weight:
            error = amplitude_mae(rate, counts, bad)
            # not over the amplitude of the batch, which is zero where the shutter was closed
            amplitude = photons.sqrt() * counts.shape[-1] / 2
            terms["mae"] = config.mae_weight * error.mean() / amplitude
        if config.realspace_weight:
            pixels = counts.shape[-1] ** 2
            terms["realspace"] = config.realspace_weight * total_variation(patches).mean() / pixels
        if config.realspace_mae_weight:
            error = self._truth_error(patches, batch["truth"])
            terms["realspace_mae"] = config.realspace_mae_weight * error
        return terms

    def _deviance(self, rate: Tensor, counts: Tensor, photons: Tensor) -> Tensor:
        """Return the mean deviance of patterns; a gentle start changes its gradient alone."""

        def over(background: Tensor | float) -> Tensor:
            bad = self.model.bad_pixels
            return poisson_deviance(rate + background, counts + background, bad).mean()

        deviance = over(BACKGROUND)
        if not (self.training and self.gentle):
            return deviance
        felt = over(likelihood_background(photons, counts.shape[-1], self.gentle))
        # epochs stay comparable, and the best one the best
        return felt + (deviance - felt).detach()

    def _truth_error(self, patches: Tensor, truth: Tensor) -> Tensor:
        weight = probe_weight(self.model.probe.detach())  # or it would go dark where patches err
        # a pattern does not tell the phase of its patch: the one that fits best is free
        overlap = (patches.detach().conj() * truth * weight).sum(dim=(-2, -1), keepdim=True)
        patches = patches * torch.where(overlap.abs() > 0, overlap.sgn(), 1.0)
        return ((patches - truth).abs() * weight).mean() / weight.mean()

    def _log(self, stage: str, terms: dict[str, Tensor], groups: int) -> Tensor:
        loss = torch.stack(list(terms.values())).sum()
        for name, value in {"loss": loss, **terms}.items():
            self.log(
                f"{stage}_{name}",
                value,
                batch_size=groups,
                on_step=False,
                on_epoch=True,
                sync_dist=True,
            )
        return loss

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Tell the checkpoint what it is of."""
        checkpoint["of"] = self.state

    def on_train_epoch_start(self) -> None:
        """Forget the last batch: a resumed training starts here and must go the same way."""
        self._seen = None
        if self.model.network.starts_blind:
            self.gentle = gentleness(self.current_epoch, self.config.nepochs)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of a batch, or of one imagined from the batch before it."""
        # every other one
        if batch_idx % 2 and self._seen and self.config.imagines(self.current_epoch):
            seed = hash((self.config.seed, self.global_step, self.global_rank)) % 2**31
            batch, patches = self._seen
            with torch.no_grad():
                patches = self.model.constrain(patches, batch["positions"], batch["canvas"])
            batch = imagined_batch(self.model, batch, patches, seed)
        return self._log("train", self.losses(batch), batch["counts"].shape[0])

    def validation_step(self, batch: Batch, batch_idx: int) -> None:  # noqa: ARG002 - Lightning's signature
        """Log the loss of a batch."""
        self._log("val", self.losses(batch), batch["counts"].shape[0])

    def configure_optimizers(self) -> Any:
        """Return AdamW and the schedule. Probes and positions have rates of their own."""
        rate = self.execution.learning_rate
        # Decay would pull the probe back to where it started, and the scale to one.
        groups: list[dict[str, Any]] = [
            {"params": self.model.network.parameters(), "weight_decay": WEIGHT_DECAY},
            {"params": [self.model.log_scale], "weight_decay": 0.0},
        ]
        for parameters, factor in (
            (self.model.probe_changes(), PROBE_RATE),
            (self.model.position_shifts(), POSITION_RATE),
        ):
            if parameters:
                groups.append({"params": parameters, "lr": factor * rate, "weight_decay": 0.0})
        optimizer = torch.optim.AdamW(groups, rate)
        name = Scheduler(self.execution.scheduler)
        if name is Scheduler.DEFAULT:
            name = Scheduler(self.model.network.recommended_scheduler)
        schedule = lightning_schedule(
            name,
            optimizer,
            steps=int(self.trainer.estimated_stepping_batches),
            epochs=self.config.nepochs,
            monitor=self.monitor,
        )
        return {"optimizer": optimizer, "lr_scheduler": schedule}
