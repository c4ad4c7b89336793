"""The mean of the weights over a training, as a share that each step has in it."""

from typing import Any

__all__ = ["averaging_share"]

LATENESS = 2
"""Step t counts as its power in the mean of weights: a mean age of a quarter of the training."""


def averaging_share(step: Any) -> Any:
    r"""Return how far the weights after a step, counted from 1, move the mean of all so far.

    .. math:: \bar w_t = \bar w_{t-1} + \frac{\eta + 1}{t + \eta} (w_t - \bar w_{t-1})

    the polynomial-decay averaging of O. Shamir and T. Zhang (ICML 2013), with `LATENESS` for
    :math:`\eta`. ``step`` may be a number or a tensor of any framework.
    """
    return (LATENESS + 1) / (step + LATENESS)
