"""Losses and the training step, as a Keras model."""

from typing import Any

from ptycho_config import PyTorchExecutionConfig, TrainingConfig
from ptycho_core.losses import Prediction, loss_weights, weighted_terms
from ptycho_core.schedules import POSITION_RATE, PROBE_RATE, WEIGHT_DECAY
from ptycho_physics import gentleness, input_scale

from ptycho_tf import namespace as xp
from ptycho_tf.augmentation import synthetic_batch, synthetic_names
from ptycho_tf.data import Batch
from ptycho_tf.frameworks import keras, tf
from ptycho_tf.layout import channels_first
from ptycho_tf.model import PtychoModel
from ptycho_tf.optimizer import AdamW

Tensor = Any


class LearningModel(keras.Model):
    """Trains a `PtychoModel`.

    Parameters
    ----------
    model
        Network and forward model.
    config
        Loss weights, model type.
    execution
        Learning rate, clipping, accumulation.

    Attributes
    ----------
    blind : bool
        Whether training starts with the smoothed likelihood, as the network asks for; set it to
        false for weights that are trained already.
    """

    def __init__(
        self, model: PtychoModel, config: TrainingConfig, execution: PyTorchExecutionConfig
    ) -> None:
        super().__init__(dtype="float32")
        self.model = model
        self.config = config
        self.blind = model.network.starts_blind
        self.gentle = tf.Variable(0.0, trainable=False)
        self.means = {name: keras.metrics.Mean(name) for name in ("loss", *loss_weights(config))}
        optimizer = AdamW(
            execution.rate(model.network.recommended_rate),
            rules=self._rule,
            clip_val=execution.gradient_clip_val,
            clip_algorithm=execution.gradient_clip_algorithm,
            accum_steps=execution.accum_steps,
            average=config.average_weights,
        )
        optimizer.build(self.trainable_variables)
        self.built = True
        self.compile(optimizer=optimizer, jit_compile=False)

    def _rule(self, variable: Any) -> tuple[float, float]:
        """Factor on the learning rate, and weight decay, of a variable."""
        # Decay would pull the probe back to where it started, and the scale to one.
        if variable is self.model.log_scale:
            return 1.0, 0.0
        if any(variable is change for change in self.model.probe_changes()):
            return PROBE_RATE, 0.0
        if any(variable is shifts for shifts in self.model.position_shifts()):
            return POSITION_RATE, 0.0
        return 1.0, WEIGHT_DECAY

    def _maybe_symbolic_build(self, **_: Any) -> None:
        """Do nothing: all is built. Keras would average unequal batches over devices."""

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """Means over an epoch, of the loss and of its terms."""
        return list(self.means.values())

    def begin_epoch(self, epoch: int) -> None:
        """Set the smoothing of the likelihood in an epoch, counted from 0."""
        if self.blind:
            self.gentle.assign(gentleness(epoch, self.config.nepochs))

    def exchange_with_means(self) -> None:
        """Swap weights and their means, if these are kept."""
        self.optimizer.exchange_with_means(self.trainable_variables)

    def terms(self, batch: Batch, gentle: Tensor | None = None) -> dict[str, Tensor]:
        """Return the weighted terms of the loss of a batch: see `ptycho_core.losses`."""
        with self.model.using(batch):
            return self._terms(batch, self._patches(batch), gentle)

    def _terms(self, batch: Batch, patches: Tensor, gentle: Tensor | None) -> dict[str, Tensor]:
        model, photons, rate = self.model, batch["photons"], None
        if self.config.model.model_type != "supervised":
            positions = model.moved(batch["positions"], batch)
            patches = model.constrain(patches, positions, batch["canvas"], photons=photons)
            rate = model.predict_counts(patches, photons)
        made = Prediction(
            patches=patches,
            photons=photons,
            counts=channels_first(batch["counts"]),
            rate=rate,
            truth=channels_first(batch["truth"]) if "truth" in batch else None,
            probe=model.probe,
            bad_pixels=model.bad_pixels,
            gentle=gentle,
            constant=tf.stop_gradient,
        )
        return weighted_terms(self.config, made, xp)

    def _patches(self, batch: Batch) -> Tensor:
        """Return the network's output (B, C, N, N) complex64 for a batch."""
        photons = batch["photons"]
        x = tf.sqrt(batch["counts"]) * (input_scale(1.0, self.config.model.N) / tf.sqrt(photons))
        where = self.model.moved(batch.get("apart", batch["positions"]), batch)
        start, light = batch.get("start"), batch.get("light")
        return channels_first(self.model.diffraction_to_obj(x, where, photons, start, light))

    def _synthetic(self, batch: Batch) -> Batch:
        """Return a batch, or a batch simulated from it if its seed is not 0."""

        def simulated() -> Batch:
            with self.model.using(batch):
                patches = self._patches(batch)
                patches = self.model.constrain(patches, batch["positions"], batch["canvas"])
                return synthetic_batch(self.model, batch, patches)

        measured = {name: tf.convert_to_tensor(batch[name]) for name in synthetic_names(batch)}
        return {**batch, **tf.cond(batch["synthetic_seed"] > 0, simulated, lambda: measured)}

    def _note(self, terms: dict[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        groups = tf.shape(batch["counts"])[0]
        total = tf.add_n(list(terms.values()))
        for name, value in {"loss": total, **terms}.items():
            self.means[name].update_state(value, sample_weight=groups)
        return {name: mean.result() for name, mean in self.means.items()}

    def train_step(self, data: Batch) -> dict[str, Tensor]:
        """Train on a batch; return the means so far."""
        variables = self.trainable_variables
        if "synthetic_seed" in data:
            data = self._synthetic(data)
        with tf.GradientTape() as tape:
            terms = self.terms(data, self.gentle if self.blind else None)
            loss = tf.add_n(list(terms.values()))
        gradients = tape.gradient(loss, [v.value for v in variables], unconnected_gradients="zero")
        self.optimizer.step(gradients, variables, data["update"])
        return self._note(terms, data)

    def test_step(self, data: Batch) -> dict[str, Tensor]:
        """Evaluate a batch; return the means so far."""
        return self._note(self.terms(data), data)
