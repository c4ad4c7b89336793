"""Running mean of the weights over a training: the share of each step."""

from typing import Any

__all__ = ["averaging_share"]

LATENESS = 2
"""Exponent of the weight of step t in the mean: a mean age of a quarter of the training."""


def averaging_share(step: Any) -> Any:
    r"""Return the share of the weights after a step, counted from 1, in the mean so far.

    .. math:: \bar w_t = \bar w_{t-1} + \frac{\eta + 1}{t + \eta} (w_t - \bar w_{t-1})

    the polynomial-decay averaging of O. Shamir and T. Zhang (ICML 2013), with `LATENESS` for
    :math:`\eta`. ``step`` may be a number or a tensor of any framework.
    """
    return (LATENESS + 1) / (step + LATENESS)
