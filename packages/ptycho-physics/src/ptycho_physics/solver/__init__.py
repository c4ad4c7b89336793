"""A preconditioned gradient solver on the canvas: the classical answer.

It reconstructs the object alone, or refines probe, modes and positions with it; it starts from
nothing or from what a network gave.
"""

from ptycho_physics.solver._run import Solution, solve
from ptycho_physics.solver._stopping import DivergenceError

__all__ = ["DivergenceError", "Solution", "solve"]
