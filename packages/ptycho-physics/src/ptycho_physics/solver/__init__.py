"""A preconditioned gradient solver, the iterative reconstruction.

It reconstructs the object, and optionally refines probe, modes and positions. It starts from an
empty object or from the reconstruction of a network.
"""

from ptycho_physics.solver._course import State
from ptycho_physics.solver._held_out import HeldOut
from ptycho_physics.solver._optics import near_field_border, propagator_of
from ptycho_physics.solver._processes import Processes
from ptycho_physics.solver._run import solve
from ptycho_physics.solver._solution import Solution
from ptycho_physics.solver._stopping import DivergenceError

__all__ = [
    "DivergenceError",
    "HeldOut",
    "Processes",
    "Solution",
    "State",
    "near_field_border",
    "propagator_of",
    "solve",
]
