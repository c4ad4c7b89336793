"""Losses and optimiser, as a Lightning module."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import attrs
import lightning.pytorch as pl
import numpy as np
import torch
from ptycho_config import PyTorchExecutionConfig, TrainingConfig, from_dict, to_dict
from ptycho_core.losses import Prediction, weighted_terms
from ptycho_core.resuming import rate_ratio
from ptycho_core.schedules import (
    POSITION_RATE,
    PROBE_RATE,
    WEIGHT_DECAY,
    chosen_scheduler,
)
from ptycho_core.training_data import ScanOptics
from ptycho_physics import gentleness, input_scale
from torch import Tensor

from ptycho_torch.augmentation import synthetic_batch
from ptycho_torch.data import Batch
from ptycho_torch.model import PtychoModel
from ptycho_torch.schedules import lightning_schedule

T = TypeVar("T")


def model_to_train(config: TrainingConfig, optics: Sequence[ScanOptics]) -> PtychoModel:
    """Make a model with the optics of every scan."""
    first, *others = optics
    return PtychoModel(
        config.model,
        first.probe,
        first.bad_pixels,
        probe_trainable=first.probe_trainable,
        intensity_scale_trainable=config.intensity_scale_trainable and config.counts_decide,
        movable=first.movable,
        others=others,
    )


class PtychoModule(pl.LightningModule):
    """Trains a `PtychoModel`.

    A checkpoint has the parameters as plain values, so that ``load_from_checkpoint`` needs the file
    only. Like a bundle, it never has a module imported: a network ``module:Class`` needs
    `ptycho_core.networks.trust_network` first.

    Parameters
    ----------
    model
        Network and forward model, or what a checkpoint has of them: the `ScanOptics` of each scan
        as a dictionary of plain values and tensors.
    config
        Loss weights, number of epochs, model type; also as a dictionary.
    execution
        Learning rate and schedule; also as a dictionary.
    monitor
        The logged loss that a plateau schedule watches.

    Attributes
    ----------
    blind : bool
        Whether training starts with the smoothed likelihood, as the network asks for; set it to
        false for weights that are trained already.
    state : dict
        Scans and settings of this training, for `ptycho_core.resuming.check_resumed`.
    """

    def __init__(
        self,
        model: PtychoModel | Sequence[Mapping[str, Any]],
        config: TrainingConfig | Mapping[str, Any],
        execution: PyTorchExecutionConfig | Mapping[str, Any],
        monitor: str,
    ) -> None:
        super().__init__()
        self.config = _built(TrainingConfig, config)
        self.execution = _built(PyTorchExecutionConfig, execution)
        if not isinstance(model, PtychoModel):
            model = model_to_train(self.config, [_optics(values) for values in model])
        self.model = model
        self.monitor = monitor
        self.blind = model.network.starts_blind
        self.gentle = 0.0
        self.state: dict[str, Any] = {}
        self._seen: tuple[Batch, Tensor] | None = None

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Return the weighted terms of the loss of a batch: see `ptycho_core.losses`."""
        batch = {**batch, "positions": self.model.use(batch)}
        counts, photons = batch["counts"], batch["photons"]
        x = counts.sqrt() * (input_scale(1.0, counts.shape[-1]) / photons.sqrt())
        start = [batch[name] for name in ("start", "light") if name in batch]
        patches = self.model.diffraction_to_obj(x, self._apart(batch), photons, *start)
        # Autocast reaches the network only; the physics below stays in float32.
        with torch.autocast(counts.device.type, enabled=False):
            return self._terms(batch, patches)

    def _apart(self, batch: Batch) -> Tensor:
        """Return the positions of a batch's patches with which the network works."""
        if "apart" not in batch:
            return batch["positions"]
        return self.model.illumination.move(batch["apart"], batch["indices"])

    def _terms(self, batch: Batch, patches: Tensor) -> dict[str, Tensor]:
        model, photons, rate = self.model, batch["photons"], None
        if self.config.model.model_type != "supervised":
            self._seen = (batch, patches.detach())
            patches = model.constrain(patches, batch["positions"], batch["canvas"], photons=photons)
            rate = model.predict_counts(patches, photons)
        made = Prediction(
            patches=patches,
            photons=photons,
            counts=batch["counts"],
            rate=rate,
            truth=batch.get("truth"),
            probe=model.probe,
            bad_pixels=model.bad_pixels,
            gentle=self.gentle if self.training and self.gentle else None,
            constant=Tensor.detach,
        )
        return weighted_terms(self.config, made)

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

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Multiply the learning rates, if that of the training was changed on resuming."""
        ratio = rate_ratio(checkpoint.get("of", {}), self.state) if self.state else 1.0
        if ratio == 1:
            return
        for optimizer in checkpoint["optimizer_states"]:
            for group in optimizer["param_groups"]:
                for name in ("lr", "initial_lr"):
                    if name in group:
                        group[name] *= ratio
        for schedule in checkpoint["lr_schedulers"]:
            for name in ("base_lrs", "_last_lr"):
                if name in schedule:
                    schedule[name] = [ratio * rate for rate in schedule[name]]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store in the checkpoint which scans and settings it belongs to, and the parameters."""
        checkpoint["of"] = self.state
        checkpoint[self.CHECKPOINT_HYPER_PARAMS_KEY] = {
            "model": [_plain(own) for own in self.model.optics],
            "config": to_dict(self.config),
            "execution": to_dict(self.execution),
            "monitor": self.monitor,
        }

    def on_train_epoch_start(self) -> None:
        """Clear the last batch so that a resumed training is identical."""
        self._seen = None
        if self.blind:
            self.gentle = gentleness(self.current_epoch, self.config.nepochs)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of a batch, or of one simulated from the batch before it."""
        # every other batch
        if batch_idx % 2 and self._seen and self.config.uses_synthetic_batches(self.current_epoch):
            seed = hash((self.config.seed, self.global_step, self.global_rank)) % 2**31
            batch, patches = self._seen
            with torch.no_grad():
                patches = self.model.constrain(patches, batch["positions"], batch["canvas"])
            batch = synthetic_batch(self.model, batch, patches, seed)
        return self._log("train", self.losses(batch), batch["counts"].shape[0])

    def validation_step(self, batch: Batch, batch_idx: int) -> None:  # noqa: ARG002 - Lightning's signature
        """Log the loss of a batch."""
        self._log("val", self.losses(batch), batch["counts"].shape[0])

    def configure_optimizers(self) -> Any:
        """Return AdamW and the schedule. Probes and positions have their own learning rates."""
        rate = self.execution.rate(self.model.network.recommended_rate)
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
        recommended = self.model.network.recommended_scheduler
        schedule = lightning_schedule(
            chosen_scheduler(self.execution.scheduler, recommended),
            optimizer,
            steps=int(self.trainer.estimated_stepping_batches),
            epochs=self.config.nepochs,
            monitor=self.monitor,
        )
        return {"optimizer": optimizer, "lr_scheduler": schedule}


def _built(kind: type[T], values: T | Mapping[str, Any]) -> T:
    return from_dict(kind, values) if isinstance(values, Mapping) else values


def _plain(optics: ScanOptics) -> dict[str, Any]:
    return {
        name: torch.tensor(value) if isinstance(value, np.ndarray) else value
        for name, value in attrs.asdict(optics, recurse=False).items()
    }


def _optics(values: Mapping[str, Any]) -> ScanOptics:
    return ScanOptics(
        **{
            name: value.cpu().numpy() if isinstance(value, Tensor) else value
            for name, value in values.items()
        }
    )
