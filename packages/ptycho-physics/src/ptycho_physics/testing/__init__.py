"""Test of an array library: values and gradients of every function of the physics.

A case is a function of one object, given as amplitude and phase. Its reference is NumPy in double
precision; the reference of its gradient are finite differences of that, so that no library is
compared with itself. `deviation` measures a library relative to the largest reference value, and
`TOLERANCE` is the largest deviation allowed. A `Library` provides a namespace, arrays and
gradients.
"""

from ptycho_physics.testing._cases import CASES
from ptycho_physics.testing._deviation import TOLERANCE, Deviation, Library, Precision, deviation

__all__ = ["CASES", "TOLERANCE", "Deviation", "Library", "Precision", "deviation"]
