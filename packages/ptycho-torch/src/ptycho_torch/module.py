"""Losses and optimiser: the part of training that Lightning drives."""

from typing import Any

import lightning.pytorch as pl
import torch
from ptycho_config import PyTorchExecutionConfig, Scheduler, TrainingConfig
from ptycho_physics import amplitude_mae, poisson_deviance, probe_weight, total_variation
from torch import Tensor

from ptycho_torch.data import Batch
from ptycho_torch.model import PtychoModel, input_scale
from ptycho_torch.schedules import lightning_schedule

BACKGROUND = 1e-3
"""Counts per pixel added to expected and measured counts in the likelihood: bounds the gradient of
the logarithm where the model predicts darkness and a stray photon arrived."""

WEIGHT_DECAY = 1e-4

PROBE_RATE = 2
"""Learning rate of a trainable probe relative to the network's. It polishes a good probe; a poor
one is better refined by the solver first, whose steps are preconditioned."""


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
            complex error against the ground truth, weighted by the illumination.
        """
        counts, photons = batch["counts"], batch["photons"]
        x = counts.sqrt() * (input_scale(counts.shape[-1], 1.0) / photons.sqrt())
        patches = self.model.diffraction_to_obj(x, batch["positions"])
        # Autocast reaches the network only; the physics below stays in float32.
        with torch.autocast(counts.device.type, enabled=False):
            return self._terms(batch, patches)

    def _terms(self, batch: Batch, patches: Tensor) -> dict[str, Tensor]:
        config, counts, photons = self.config, batch["counts"], batch["photons"]
        bad = self.model.bad_pixels
        terms: dict[str, Tensor] = {}
        if config.model.model_type == "supervised":
            return {"realspace_mae": self._truth_error(patches, batch["truth"])}
        patches = self.model.constrain(patches, batch["positions"], batch["canvas"])
        rate = self.model.predict_counts(patches, photons)
        if config.nll_weight:
            deviance = poisson_deviance(rate + BACKGROUND, counts + BACKGROUND, bad)
            terms["nll"] = config.nll_weight * deviance.mean() / (2 * photons)
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

    def _truth_error(self, patches: Tensor, truth: Tensor) -> Tensor:
        weight = probe_weight(self.model.probe)
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

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:  # noqa: ARG002 - Lightning's signature
        """Return the loss of a batch."""
        return self._log("train", self.losses(batch), batch["counts"].shape[0])

    def validation_step(self, batch: Batch, batch_idx: int) -> None:  # noqa: ARG002 - Lightning's signature
        """Log the loss of a batch."""
        self._log("val", self.losses(batch), batch["counts"].shape[0])

    def configure_optimizers(self) -> Any:
        """Return AdamW and the schedule. The probe has a rate of its own."""
        rate = self.execution.learning_rate
        # Decay would pull the probe back to where it started, and the scale to one.
        groups: list[dict[str, Any]] = [
            {"params": self.model.network.parameters(), "weight_decay": WEIGHT_DECAY},
            {"params": [self.model.log_scale], "weight_decay": 0.0},
        ]
        if self.model.probe_change is not None:
            probe = {"params": [self.model.probe_change], "lr": PROBE_RATE * rate}
            groups.append({**probe, "weight_decay": 0.0})
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
