"""Parameters of one scan: probe, bad pixels, position corrections."""

from collections.abc import Callable
from typing import Any

import numpy as np
from ptycho_config import ModelConfig
from ptycho_core.groups import LARGEST_OFFSET
from ptycho_core.training_data import ScanOptics
from ptycho_physics import inscribed_circle, normalise_probe, prepare_probe

from ptycho_tf import namespace as xp
from ptycho_tf.frameworks import tf

Tensor = Any


class Illumination:
    """Probe, bad pixels and position corrections of one scan.

    Parameters
    ----------
    model
        The network's configuration.
    optics
        Probe, bad pixels, and which parameters of the scan are trained.
    modes
        Number of modes, at least that of the probe; additional modes are zero.
    make_variable
        Function that makes a variable from a name and a shape.

    Attributes
    ----------
    probe_change : variable (modes, N, N, 2) or None
        Change of the probe in units of its rms, so that the network's learning rate suits it.
    shifts : variable (n, 2) or None
        Trainable parameters from which `offsets` are computed.
    """

    def __init__(
        self,
        model: ModelConfig,
        optics: ScanOptics,
        modes: int,
        make_variable: Callable[[str, tuple[int, ...]], Any],
    ) -> None:
        start = prepare_probe(optics.probe, model.N, masked=model.probe_mask)
        self.modes = len(start)
        start = np.pad(start, ((0, modes - self.modes), (0, 0), (0, 0)))
        shape = (model.N, model.N)
        bad = np.zeros(shape, dtype=bool) if optics.bad_pixels is None else optics.bad_pixels
        self.probe_start = tf.constant(start)
        self.bad_pixels = tf.constant(bad)
        self.probe_rms = float(np.sqrt(np.mean(np.abs(start[: self.modes]) ** 2)))
        circle = inscribed_circle(model.N) if model.probe_mask else None
        self.inside = None if circle is None else tf.constant(circle, tf.complex64)
        trainable, movable = optics.probe_trainable, optics.movable
        self.probe_change = make_variable("probe_change", (*start.shape, 2)) if trainable else None
        self.shifts = make_variable("shifts", (movable, 2)) if movable else None

    @property
    def probe(self) -> Tensor:
        """The probe (modes, N, N) complex64 in use, at unit power."""
        if self.probe_change is None:
            return self.probe_start
        change = self.probe_rms * tf.convert_to_tensor(self.probe_change)
        change = tf.complex(change[..., 0], change[..., 1])
        if self.inside is not None:
            change = change * self.inside
        return normalise_probe(self.probe_start + change, xp=xp)

    @property
    def offsets(self) -> Tensor:
        """Refinement (n, 2) of the positions ``(x, y)`` in pixels; one row of zeros if fixed."""
        if self.shifts is None:
            return tf.zeros((1, 2))
        return LARGEST_OFFSET * tf.tanh(tf.convert_to_tensor(self.shifts) / LARGEST_OFFSET)
