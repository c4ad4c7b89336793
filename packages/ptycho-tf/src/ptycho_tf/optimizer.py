"""AdamW that accumulates gradients over batches and devices before any processing."""

from collections.abc import Callable, Sequence
from typing import Any

from ptycho_core.averaging import averaging_share

from ptycho_tf.frameworks import keras, tf

Tensor = Any

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8


class AdamW(keras.optimizers.Optimizer):
    r"""Adam with decoupled weight decay (I. Loshchilov and F. Hutter, ICLR 2019).

    .. math:: w \leftarrow (1 - \eta\lambda) w
        - \eta\,\hat m / (\sqrt{\hat v} + \epsilon)

    with the bias-corrected moments of D. Kingma and J. Ba (ICLR 2015, algorithm 1), exactly as
    the optimiser of PyTorch. Keras's own also corrects :math:`\epsilon`, clips before summing the
    gradients of several devices, and carries accumulated gradients over into the next epoch.

    Parameters
    ----------
    learning_rate
        Learning rate of variables without a rule in ``rules``.
    rules
        Factor on the learning rate, and weight decay, of a variable.
    clip_val
        Maximum norm of the whole gradient, or maximum of each component.
    clip_algorithm
        ``norm`` or ``value``.
    accum_steps
        Number of batches whose gradients are averaged for a step.
    average
        Keep the running mean of the variables: see `ptycho_core.averaging`.
    """

    def __init__(
        self,
        learning_rate: float,
        *,
        rules: Callable[[Any], tuple[float, float]],
        clip_val: float | None = None,
        clip_algorithm: str = "norm",
        accum_steps: int = 1,
        average: bool = False,
    ) -> None:
        super().__init__(learning_rate=learning_rate, name="adamw")
        self.rules = rules
        self.clip_val = clip_val
        self.clip_algorithm = clip_algorithm
        self.accum_steps = accum_steps
        self.average = average

    def build(self, variables: Sequence[Any]) -> None:
        """Make the moments, and the accumulators of gradients."""
        if self.built:
            return
        super().build(variables)
        self.first = self.add_optimizer_variables(variables, "first_moment")
        self.second = self.add_optimizer_variables(variables, "second_moment")
        self.sums: list[Any] = []
        if self.accum_steps > 1:
            self.sums = self.add_optimizer_variables(variables, "gradient_sum")
        self.means: list[Any] = []
        if self.average:
            self.means = self.add_optimizer_variables(variables, "mean")

    def step(self, gradients: Sequence[Tensor], variables: Sequence[Any], update: Tensor) -> None:
        """Accumulate the gradients of a batch, and update the variables if ``update`` is true.

        Parameters
        ----------
        gradients
            Gradients of the loss of this device's batch.
        variables
            All variables that the optimiser was built for, in that order.
        update : () bool
            Whether to update the variables; always true without accumulation.
        """
        context = tf.distribute.get_replica_context()
        share = self.accum_steps * context.num_replicas_in_sync
        added = context.all_reduce(tf.distribute.ReduceOp.SUM, [g / share for g in gradients])
        totals = [s + g for s, g in zip(self.sums, added, strict=True)] if self.sums else added
        context.merge_call(
            self._change, args=(list(variables), self._clipped(totals), totals, update)
        )
        self.iterations.assign_add(tf.cast(update, self.iterations.dtype))

    def exchange_with_means(self, variables: Sequence[Any]) -> None:
        """Swap the variables, all that the optimiser was built for, and their running means.

        Without ``average``, or before the first step, nothing happens.
        """
        if not self.means or not int(self.iterations.numpy()):
            return
        for variable, mean in zip(variables, self.means, strict=True):
            before = variable.numpy()
            variable.assign(mean.numpy())
            mean.assign(before)

    def _clipped(self, gradients: list[Tensor]) -> list[Tensor]:
        if self.clip_val is None:
            return gradients
        if self.clip_algorithm == "value":
            return [tf.clip_by_value(g, -self.clip_val, self.clip_val) for g in gradients]
        norm = tf.linalg.global_norm(gradients)
        return [g * tf.minimum(1.0, self.clip_val / (norm + 1e-6)) for g in gradients]

    def _change(
        self,
        strategy: tf.distribute.Strategy,
        variables: list[Any],
        gradients: list[Tensor],
        totals: list[Tensor],
        update: Tensor,
    ) -> None:
        """Update all variables, on every device."""
        count = tf.cast(self.iterations + 1, tf.float32)
        correct_1, correct_2 = 1 - BETA_1**count, 1 - BETA_2**count

        def change(w: Any, k: int, g: Tensor, total: Tensor, go: Tensor) -> None:
            factor, decay = self.rules(variables[k])
            rate = tf.cast(self.learning_rate, w.dtype) * factor
            first, second = self.first[k].value, self.second[k].value
            m = BETA_1 * first + (1 - BETA_1) * g
            v = BETA_2 * second + (1 - BETA_2) * g * g
            away = rate / correct_1 * m / (tf.sqrt(v / correct_2) + EPSILON)
            moved = w * (1 - rate * decay) - away
            changes = [(w, moved), (first, m), (second, v)]
            if self.means:
                mean = self.means[k].value
                changes.append((mean, mean + (moved - mean) * averaging_share(count)))
            for target, value in changes:
                target.assign(tf.where(go, value, target) if self.sums else value)
            if self.sums:
                self.sums[k].value.assign(tf.where(go, tf.zeros_like(total), total))

        for k, variable in enumerate(variables):
            strategy.extended.update(
                variable.value, change, args=(k, gradients[k], totals[k], update), group=False
            )
