"""Proof that a library computes the physics: every function, values and gradients, on one problem.

A case is a function of one object, given as amplitude and phase. Its reference is NumPy in double
precision; the reference of its gradient is taken by finite differences of that, so that no
library is measured by itself. `deviation` says how far a library is off, relative to the largest
reference value, and `TOLERANCE` how far it may be. A library enters as a `Library`: its namespace,
and how it makes arrays and gradients.
"""

from ptycho_physics.testing._cases import CASES
from ptycho_physics.testing._deviation import TOLERANCE, Deviation, Library, Precision, deviation

__all__ = ["CASES", "TOLERANCE", "Deviation", "Library", "Precision", "deviation"]
